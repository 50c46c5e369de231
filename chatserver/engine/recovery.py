"""At start: what an earlier process accepted and didn't end is run again, or ended with a true reason."""

import structlog

from chatserver.engine.endings import Outcome
from chatserver.engine.engine import Engine
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel, Delta, Fault, Started
from chatserver.generation.states import Lane, Reason
from chatserver.storage.generations import Generations
from chatserver.storage.records import Generation

log = structlog.get_logger()

_INTERRUPTED = Fault("interrupted", "The server was interrupted each time it made this answer.")


async def recover(generations: Generations, engine: Engine, most_attempts: int) -> None:
    # What this process has accepted itself, or ended meanwhile, is known to the engine.
    unfinished = [each for each in await generations.unfinished() if engine.feed(each.id) is None]
    for record in unfinished:
        if record.cancel:
            engine.end(record, Outcome(Reason.CANCELLED), await _text_so_far(generations, record))
        elif record.attempts >= most_attempts:
            spent = record.lane is Lane.BACKGROUND
            outcome = Outcome(Reason.INTERRUPTED, fault=_INTERRUPTED, spent=spent)
            engine.end(record, outcome, await _text_so_far(generations, record))
        else:
            engine.pick_up(record)
    if unfinished:
        log.info("picked_up", generations=len(unfinished))


async def _text_so_far(generations: Generations, record: Generation) -> Feed:
    """Begin a log with what was saved of the last attempt, under the epoch that will claim it."""
    feed = Feed(record.id)
    feed.begin(record.epoch + 1, 0)
    saved = await generations.text_so_far(record.id)
    if saved is not None:
        feed.add(Started(record.model, saved.attempt, context=record.context))
        if saved.thinking:
            feed.add(Delta(Channel.THINKING, saved.thinking))
        if saved.answer:
            feed.add(Delta(Channel.ANSWER, saved.answer))
    return feed
