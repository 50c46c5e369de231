"""What one process leaves is taken up by the next: two lives of the same data folder."""

from pathlib import Path

import pytest

from chatserver.engine import recovery
from chatserver.engine.recovery import recover
from chatserver.generation.pieces import Channel, Started
from chatserver.generation.position import Position
from chatserver.generation.states import Lane, Reason, Status
from chatserver.storage.lifecycle import BeginAttempt, Cancel
from tests.unit.works import ALICE, working

STALLED = "[[fault=stall]] [[tokens=8]]"


async def left_running(
    folder: Path, *, lane: Lane = Lane.INTERACTIVE, attempts: int = 1, cancel: bool = False
) -> str:
    """Leave an answer that was begun, with some of its text on disk."""
    async with working(folder) as works:
        generation = await works.accept(STALLED, lane=lane)
        await works.answering(generation)
        if attempts > 1:
            await works.parts.store.writer.submit(BeginAttempt(generation, 1, attempts))
        if cancel:
            await works.parts.store.writer.submit(Cancel(generation, ALICE, 0))
        await works.parts.checkpoints.save()
    return generation


async def test_what_was_running_runs_again_under_a_new_epoch(tmp_path) -> None:
    generation = await left_running(tmp_path)
    async with working(tmp_path) as works:
        await works.answering(generation)
        record = await works.record(generation)
        assert (record.epoch, record.attempts, record.owner) == (2, 2, works.engine.owner)
        assert works.feed(generation).log.epoch == 2
        works.engine.cancel(generation)
        await works.ended(generation)


async def test_what_was_waiting_runs_in_its_order(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        generations = [await works.accept(STALLED), *[await works.accept("[[tokens=2]]") for _ in range(3)]]
    async with working(tmp_path, ollama__slots=1) as works:
        works.engine.cancel(generations[0])
        for generation in generations[1:]:
            await works.ended(generation)
        ended = [(await works.record(generation)).ended_at for generation in generations[1:]]
        assert ended == sorted(ended)
        records = [await works.record(generation) for generation in generations[1:]]
        assert [(record.status, record.attempts) for record in records] == [(Status.COMPLETED, 1)] * 3


async def test_more_than_is_read_at_once_is_taken_up(tmp_path, monkeypatch) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        generations = [await works.accept(STALLED), *[await works.accept("[[tokens=1]]") for _ in range(6)]]
    monkeypatch.setattr(recovery, "_AT_ONCE", 3)
    async with working(tmp_path, ollama__slots=1) as works:
        works.engine.cancel(generations[0])
        for generation in generations:
            await works.ended(generation)


async def test_what_was_cancelled_ends_as_cancelled_with_the_text_that_was_saved(tmp_path) -> None:
    generation = await left_running(tmp_path, cancel=True)
    async with working(tmp_path) as works:
        log = await works.ended(generation)
        record = await works.record(generation)
        assert (record.status, record.reason) == (Status.CANCELLED, Reason.CANCELLED)
        assert record.result == log.text(Channel.ANSWER) != ""
        assert (await works.stats())["requests"].get("/api/chat", 0) == 0


@pytest.mark.parametrize(
    ("lane", "status"), [(Lane.INTERACTIVE, Status.FAILED), (Lane.BACKGROUND, Status.DEAD)]
)
async def test_what_was_interrupted_too_often_ends_with_the_text_that_was_saved(
    tmp_path, lane, status
) -> None:
    generation = await left_running(tmp_path, lane=lane, attempts=3)
    async with working(tmp_path) as works:
        log = await works.ended(generation)
        record = await works.record(generation)
        assert (record.status, record.reason) == (status, Reason.INTERRUPTED)
        assert record.error is not None
        assert record.error.code == "interrupted"
        assert log.ending is not None
        assert log.ending.sha256 == record.sha256
        assert await works.parts.store.generations.text_so_far(generation) is None


async def test_what_was_cancelled_before_it_began_has_an_end_and_nothing_else(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        await works.accept(STALLED)
        waiting = await works.accept()
        await works.parts.store.writer.submit(Cancel(waiting, ALICE, 0))
    async with working(tmp_path) as works:
        log = await works.ended(waiting)
        assert (log.top, log.position) == (1, Position(1, 1))
        await works.clear()


async def test_what_expired_meanwhile_ends_as_expired(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        await works.accept(STALLED)
        waiting = await works.accept(STALLED, expires_in=0.001)
        works.engine.drain()
        await works.engine.close()
    async with working(tmp_path, ollama__slots=2) as works:
        log = await works.ended(waiting)
        assert log.ending is not None
        assert log.ending.reason is Reason.EXPIRED
        await works.clear()


async def test_readers_of_the_first_life_are_told_to_forget_what_was_not_kept(tmp_path) -> None:
    generation = await left_running(tmp_path)
    async with working(tmp_path) as works:
        await works.answering(generation)
        log = works.feed(generation).log
        assert log.locate(Position(1, 2)) is None
        works.engine.cancel(generation)
        assert log.locate(Position(2, 1)) is not None
        await works.ended(generation)


async def test_what_has_ended_is_left_alone(tmp_path) -> None:
    async with working(tmp_path) as works:
        generation = await works.accept("[[tokens=2]]")
        await works.ended(generation)
        before = await works.record(generation)
    async with working(tmp_path) as works:
        assert list(works.engine.jobs()) == []
        assert await works.record(generation) == before


async def test_a_run_that_is_taken_up_says_which_attempt_it_is(tmp_path) -> None:
    generation = await left_running(tmp_path)
    async with working(tmp_path) as works:
        log = await works.answering(generation)
        started = [piece for _, piece in log.since(0) if isinstance(piece, Started)]
        assert [piece.attempt for piece in started] == [2]
        works.engine.cancel(generation)
        await works.ended(generation)


async def test_what_this_process_works_on_itself_is_not_taken_up(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        running, waiting = await works.accept(STALLED), await works.accept(STALLED)
        await works.answering(running)
        jobs = list(works.engine.jobs())
        await recover(works.parts.store.generations, works.engine, 3)
        assert list(works.engine.jobs()) == jobs
        assert (await works.record(running)).epoch == 1
        assert works.engine.running == 1
        works.engine.cancel(running)
        await works.answering(waiting)
        await works.clear()
