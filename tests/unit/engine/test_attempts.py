import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chatserver.engine.attempts import _backoff
from chatserver.generation.log import TokenLog
from chatserver.generation.pieces import Channel, Piece, Reset, Started
from chatserver.generation.states import Lane, Reason, Status
from chatserver.settings import load
from chatserver.upstream.simulator import Fault as Spoiled
from chatserver.upstream.simulator import SimulatorOptions, serve_simulator
from tests.unit.works import working

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWER = Channel.ANSWER


def pieces_of(log: TokenLog) -> list[Piece]:
    return [piece for _, piece in log.since(0)]


async def test_work_that_is_not_watched_is_tried_again_from_the_start(tmp_path) -> None:
    spoiled = SimulatorOptions(faults=(Spoiled("cut", 0.5),), seed=3, diverge=True)
    async with working(tmp_path, spoiled, generation__retry_first_delay_s=0, generation__attempts=9) as works:
        generation = await works.accept("[[tokens=4]]", lane=Lane.BACKGROUND)
        log = await works.ended(generation)
        record = await works.record(generation)
        assert record.status is Status.COMPLETED
        assert record.attempts > 1
        resets = [piece for piece in pieces_of(log) if isinstance(piece, Reset)]
        assert len(resets) == 1  # a reader from the start gets only the newest
        assert record.result == log.text(ANSWER)
        starts = [piece.attempt for piece in pieces_of(log) if isinstance(piece, Started)]
        assert starts == [record.attempts]


async def test_work_whose_attempts_are_spent_is_dead(works) -> None:
    before = (await works.stats())["requests"].get("/api/chat", 0)
    generation = await works.accept("[[fault=status-503]]", lane=Lane.BACKGROUND)
    log = await works.ended(generation)
    record = await works.record(generation)
    assert (record.status, record.reason, record.attempts) == (Status.DEAD, Reason.UPSTREAM_ERROR, 3)
    assert log.ending is not None
    assert log.ending.error is not None
    assert log.ending.error.code == "upstream_busy"
    assert (await works.stats())["requests"]["/api/chat"] == before + 3


@pytest.mark.parametrize("more", [{"model": "nobody-has-it"}, {"think": True}])
async def test_what_would_fail_the_same_way_is_not_tried_again(works, more) -> None:
    generation = await works.accept(lane=Lane.BACKGROUND, **more)
    await works.ended(generation)
    record = await works.record(generation)
    assert (record.status, record.attempts) == (Status.FAILED, 1)


async def test_between_attempts_others_have_the_slot(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1, generation__retry_first_delay_s=60) as works:
        failing = await works.accept("[[fault=status-503]]", lane=Lane.BACKGROUND)
        other = await works.accept()
        await works.ended(other)
        works.engine.cancel(failing)
        log = await works.ended(failing)
        assert log.ending is not None
        assert log.ending.reason is Reason.CANCELLED


async def test_pauses_double_up_to_a_bound_and_vary() -> None:
    options = load(
        None, {}, {"generation.retry_first_delay_s": 1.0, "generation.retry_longest_delay_s": 5.0}
    ).settings.generation
    for attempt, longest in ((1, 1), (2, 2), (3, 4), (4, 5), (30, 5)):
        pauses = {_backoff(attempt, options) for _ in range(50)}
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(pauses) > 1


@asynccontextmanager
async def deaf() -> AsyncIterator[tuple[str, list[int]]]:
    """A server that hangs up on everybody, and a count of those."""
    calls: list[int] = []

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", calls


async def test_what_has_said_nothing_yet_goes_at_once_to_another_server(tmp_path) -> None:
    busy = SimulatorOptions(faults=(Spoiled("status-503"),))
    async with (
        serve_simulator(busy) as first,
        serve_simulator(SimulatorOptions()) as second,
        working(tmp_path, urls=(first, second)) as works,
    ):
        log = await works.ended(await works.accept())
        assert log.ending is not None
        assert log.ending.reason is Reason.COMPLETED
        assert [piece.attempt for piece in pieces_of(log) if isinstance(piece, Started)] == [1]


async def test_what_has_said_something_stays_with_its_server(tmp_path) -> None:
    cutting = SimulatorOptions(faults=(Spoiled("cut"),))
    async with (
        serve_simulator(cutting) as first,
        serve_simulator(SimulatorOptions()) as second,
        working(tmp_path, urls=(first, second)) as works,
    ):
        log = await works.ended(await works.accept("[[tokens=4]]"))
        assert log.ending is not None
        assert log.ending.reason is Reason.UPSTREAM_TRUNCATED


async def test_a_request_that_was_refused_as_wrong_is_not_shown_to_another_server(tmp_path) -> None:
    async with (
        serve_simulator(SimulatorOptions()) as first,
        serve_simulator(SimulatorOptions()) as second,
        working(tmp_path, urls=(first, second)) as works,
    ):
        log = await works.ended(await works.accept(think=True))
        assert log.ending is not None
        assert log.ending.error is not None
        assert log.ending.error.code == "bad_request"


async def test_a_server_that_hangs_up_is_not_asked_again_and_again_while_the_other_is_full(tmp_path) -> None:
    async with (
        deaf() as (first, calls),
        serve_simulator(SimulatorOptions()) as second,
        working(tmp_path, urls=(second, first), ollama__slots=2) as works,
    ):
        # Nobody is known to have the model, so both are in the choice.
        works.parts.fleet.lost(works.parts.fleet.clients[0])
        calls.clear()
        stalled = [await works.accept("[[fault=stall]]") for _ in range(2)]
        for each in stalled:
            await works.answering(each)
        calls.clear()
        log = await works.ended(await works.accept())
        assert log.ending is not None
        assert log.ending.error is not None
        assert log.ending.error.code == "unreachable"
        assert len(calls) <= 4
        for each in stalled:
            works.engine.cancel(each)
        await works.idle()
