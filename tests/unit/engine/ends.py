"""What every end of a run has to leave: one ending in log and store, and nothing at work."""

import asyncio

from chatserver.generation.log import TokenLog
from chatserver.generation.pieces import Ending
from chatserver.generation.states import Lane, Reason, Status
from tests.unit.works import Works

#: Asks for an answer that stops in its middle.
STALLED = "Hello [[fault=stall]] [[tokens=8]]"


def ending_of(log: TokenLog) -> Ending:
    assert log.ending is not None
    return log.ending


async def check_at_rest(works: Works) -> None:
    """Nothing is left of any run: no job, no slot, no task, no request to the model."""
    await works.idle()
    assert list(works.engine.jobs()) == []
    assert works.engine.counts() == {Status.QUEUED: 0, Status.RUNNING: 0}
    assert works.engine.lanes() == dict.fromkeys(Lane, (0, 0.0))
    assert works.engine.slots_taken == 0
    await works.stats(in_flight=0)
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert [name for name in names if name.startswith("run ")] == []


async def check_ended(works: Works, generation: str, reason: Reason) -> None:
    """Log and disk tell of the same end."""
    log = await works.ended(generation)
    record = await works.record(generation)
    ending = ending_of(log)
    assert (ending.reason, record.reason) == (reason, reason)
    assert record.status.ended
    assert (record.sha256, record.final) == (log.sha256(), log.position)
    assert [isinstance(piece, Ending) for _, piece in log.since(0)].count(True) == 1
