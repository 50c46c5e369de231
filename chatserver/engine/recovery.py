"""What was accepted and has no owner any more is run again, or ended with a true reason."""

import structlog

from chatserver.engine.endings import Outcome
from chatserver.engine.engine import Engine
from chatserver.generation.pieces import Fault
from chatserver.generation.states import Lane, Reason
from chatserver.storage.generations import Generations
from chatserver.storage.records import Generation

log = structlog.get_logger()

#: Generations read at once; a request may have 16 MiB.
_AT_ONCE = 20

_INTERRUPTED = Fault("interrupted", "The server was interrupted each time it made this answer.")


async def recover(generations: Generations, engine: Engine, most_attempts: int) -> None:
    """At the start of a process that is alone: take in all that isn't its own yet."""
    picked_up, last = 0, ""
    while found := await generations.unfinished(last, _AT_ONCE):
        last = found[-1].id
        # What this process has accepted itself, or ended meanwhile, is known to the engine.
        for record in found:
            if engine.feed(record.id) is None:
                take_in(record, engine, most_attempts)
                picked_up += 1
    if picked_up:
        log.info("picked_up", generations=picked_up)


def take_in(record: Generation, engine: Engine, most_attempts: int) -> None:
    if record.cancel:
        engine.end(record, Outcome(Reason.CANCELLED))
    elif record.attempts >= most_attempts:
        spent = record.lane is Lane.BACKGROUND
        engine.end(record, Outcome(Reason.INTERRUPTED, fault=_INTERRUPTED, spent=spent))
    else:
        engine.pick_up(record)
