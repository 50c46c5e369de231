"""What was accepted and has no owner any more is run again, or ended with a true reason."""

import structlog

from chatserver.engine.endings import Outcome
from chatserver.engine.engine import Engine
from chatserver.generation.pieces import Fault
from chatserver.generation.states import Lane, Reason
from chatserver.storage.generations import Generations
from chatserver.storage.records import Generation

log = structlog.get_logger()

_INTERRUPTED = Fault("interrupted", "The server was interrupted each time it made this answer.")


async def recover(generations: Generations, engine: Engine, most_attempts: int) -> None:
    """At the start of a process that is alone: take in all that isn't its own yet."""
    # What this process has accepted itself, or ended meanwhile, is known to the engine.
    unfinished = [each for each in await generations.unfinished() if engine.feed(each.id) is None]
    for record in unfinished:
        take_in(record, engine, most_attempts)
    if unfinished:
        log.info("picked_up", generations=len(unfinished))


def take_in(record: Generation, engine: Engine, most_attempts: int) -> None:
    if record.cancel:
        engine.end(record, Outcome(Reason.CANCELLED))
    elif record.attempts >= most_attempts:
        spent = record.lane is Lane.BACKGROUND
        engine.end(record, Outcome(Reason.INTERRUPTED, fault=_INTERRUPTED, spent=spent))
    else:
        engine.pick_up(record)
