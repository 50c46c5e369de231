"""What of ours fails in the middle of a run: here the database refuses what it always takes."""

import asyncio
import sqlite3
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from chatserver.engine.runner import _OUR_FAULT
from chatserver.generation.log import TokenLog
from chatserver.generation.pieces import Channel, Ending, Piece
from chatserver.generation.states import Reason, Status
from tests.unit.asgi import PATIENCE
from tests.unit.works import Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

Lines = Sequence[MutableMapping[str, Any]]


@contextmanager
def refusing(works: Works, *statuses: str) -> Iterator[Lines]:
    """Have the database itself refuse that a generation gets one of these; gives what is logged meanwhile."""
    named = ", ".join(f"'{status}'" for status in statuses)
    with closing(sqlite3.connect(works.folder / "chatserver.db", isolation_level=None)) as other:
        other.execute(
            f"CREATE TRIGGER refusing BEFORE UPDATE OF status ON generations WHEN NEW.status IN ({named}) "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        with capture_logs() as lines:
            yield lines
        other.execute("DROP TRIGGER refusing")


def errors(lines: Lines) -> list[str]:
    return [line["event"] for line in lines if line["log_level"] == "error"]


async def refused(lines: Lines, ends: int, runs: int = 1) -> None:
    """Wait until so many runs have failed, and their ends so often."""
    async with asyncio.timeout(PATIENCE):
        # A log tells nobody of its lines.
        while errors(lines).count("end_failed") < ends or errors(lines).count("run_failed") < runs:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def pieces_of(log: TokenLog) -> list[Piece]:
    return [piece for _, piece in log.since(0)]


async def check_interrupted(works: Works, generation: str) -> TokenLog:
    """It ended once, for readers as on disk, with the text so far."""
    log, record = await works.ended(generation), await works.record(generation)
    assert log.ending is not None
    assert (log.ending.reason, log.ending.error) == (Reason.INTERRUPTED, _OUR_FAULT)
    assert (record.status, record.reason, record.error) == (Status.FAILED, Reason.INTERRUPTED, _OUR_FAULT)
    assert (record.result or "", record.sha256) == (log.text(Channel.ANSWER), log.sha256())
    assert [piece for piece in pieces_of(log) if isinstance(piece, Ending)] == [log.ending]
    await works.idle()
    assert list(works.engine.jobs()) == []
    return log


async def test_an_end_that_the_store_refuses_becomes_an_interruption_with_the_whole_text(works) -> None:
    with refusing(works, "completed") as lines:
        generation = await works.accept("[[tokens=4]]")
        log = await check_interrupted(works, generation)
    assert log.text(Channel.ANSWER)
    assert errors(lines) == ["run_failed"]


async def test_while_the_store_refuses_every_end_readers_wait_and_the_model_is_free(works) -> None:
    with refusing(works, "completed", "failed") as lines:
        generation = await works.accept("[[tokens=4]]")
        await refused(lines, ends=3)
        assert not works.feed(generation).log.ended
        assert works.engine.counts()[Status.RUNNING] == 1
        assert works.engine.slots_taken == 0
    await check_interrupted(works, generation)


async def test_what_somebody_else_has_claimed_before_its_end_was_taken_is_let_go(tmp_path) -> None:
    async with working(tmp_path) as works:
        with refusing(works, "completed", "failed") as lines:
            generation = await works.accept("[[tokens=4]]")
            await refused(lines, ends=1)
            with closing(sqlite3.connect(works.folder / "chatserver.db")) as other, other:
                other.execute("UPDATE generations SET epoch = epoch + 1, owner = 'another'")
            await works.idle()
        assert (await works.record(generation)).status is Status.RUNNING
    assert {"event": "fenced", "generation": generation, "log_level": "info"} in lines
    assert "run_died" not in errors(lines)


async def test_what_can_not_be_claimed_is_interrupted_once_it_can(works) -> None:
    running, waiting = await works.accept("[[fault=stall]]"), await works.accept()
    with refusing(works, "running") as lines:
        works.engine.cancel(running)
        await refused(lines, ends=1)
        assert works.engine.slots_taken == 0
    log = await check_interrupted(works, waiting)
    assert [type(piece) for piece in pieces_of(log)] == [Ending]


async def test_what_was_asked_to_end_is_told_so_whatever_fails_then(works) -> None:
    running, waiting = await works.accept("[[fault=stall]]"), await works.accept()
    with refusing(works, "running", "cancelled") as lines:
        works.engine.cancel(waiting)
        works.engine.cancel(running)
        await refused(lines, ends=3, runs=2)
    for generation in (running, waiting):
        log, record = await works.ended(generation), await works.record(generation)
        assert log.ending is not None
        assert (log.ending.reason, record.status, record.error) == (Reason.CANCELLED, Status.CANCELLED, None)


async def test_what_no_end_was_taken_of_is_left_for_the_next_start(tmp_path) -> None:
    async with working(tmp_path) as works:
        with refusing(works, "completed", "failed") as lines:
            generation = await works.accept("[[tokens=4]]")
            await refused(lines, ends=1)
            await works.engine.close()
        assert (await works.record(generation)).status is Status.RUNNING
    async with working(tmp_path) as works:
        log = await works.ended(generation)
        assert log.ending is not None
        assert log.ending.reason is Reason.COMPLETED
