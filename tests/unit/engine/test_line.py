import asyncio

import pytest

from chatserver.generation.cursor import Cursor
from chatserver.generation.position import START
from chatserver.generation.states import Lane, Reason, Status
from chatserver.upstream.simulator import SimulatorOptions
from tests.unit.clock import MovedClock
from tests.unit.engine.ends import STALLED, check_at_rest, check_ended
from tests.unit.works import Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHER = "sim-think:latest"


async def test_what_finds_none_waits_and_runs_when_one_is_given_back(works) -> None:
    first = await works.accept(STALLED)
    second = await works.accept()
    record = await works.record(second)
    assert (record.status, record.owner) == (Status.QUEUED, works.engine.owner)
    assert works.engine.counts() == {Status.QUEUED: 1, Status.RUNNING: 1}
    works.engine.cancel(first)
    await check_ended(works, second, Reason.COMPLETED)
    await check_ended(works, first, Reason.CANCELLED)
    await check_at_rest(works)


async def test_no_model_ever_gets_more_at_once_than_its_slots(tmp_path) -> None:
    async with working(tmp_path, SimulatorOptions(parallel=20), ollama__slots=3) as works:
        generations = await asyncio.gather(*(works.accept(STALLED) for _ in range(9)))
        for generation in generations[:7]:
            await works.answering(generation)
            await works.stats(in_flight=3, waiting=0)
            works.engine.cancel(generation)
            await works.ended(generation)
        for generation in generations[7:]:
            works.engine.cancel(generation)
        await check_at_rest(works)


def place_of(works: Works, generation: str) -> int | None:
    place = works.feed(generation).place
    return place and place.position


async def test_those_who_wait_are_told_their_place_and_those_who_run_have_none(works) -> None:
    blocking = await works.accept(STALLED)
    waiting = [await works.accept() for _ in range(3)]
    assert [place_of(works, each) for each in waiting] == [1, 2, 3]
    background = await works.accept(lane=Lane.BACKGROUND)
    # One that comes later and goes first is told its true place at once.
    interactive = await works.accept()
    assert (place_of(works, background), place_of(works, interactive)) == (4, 4)
    works.engine.cancel(blocking)
    for each in [*waiting, interactive, background]:
        await works.ended(each)
        assert works.feed(each).place is None


async def test_what_starts_past_others_that_wait_is_never_shown_as_waiting(works) -> None:
    blocking = await works.accept(STALLED)
    waiting = await works.accept()
    other = await works.accept(STALLED, model=OTHER)
    assert (await works.answering(other)).top > 0
    assert works.feed(other).place is None
    works.engine.cancel(blocking)
    works.engine.cancel(other)
    await works.ended(waiting)
    await check_at_rest(works)


async def test_places_are_told_again_when_they_change(works, monkeypatch) -> None:
    monkeypatch.setattr("chatserver.engine.engine._ROUND", 0.001)
    blocking = await works.accept(STALLED)
    first, second = await works.accept(STALLED), await works.accept(STALLED)
    rounds = asyncio.create_task(works.engine.rounds())
    news = asyncio.Event()
    with Cursor(works.feed(second), START, news.set) as cursor:
        told = [cursor.place()]
        works.engine.cancel(first)
        while len(told) < 2:
            news.clear()
            await asyncio.wait_for(news.wait(), 5)
            told += [place for place in [cursor.place()] if place]
        assert [place and place.position for place in told] == [2, 1]
    rounds.cancel()
    works.engine.cancel(blocking)
    works.engine.cancel(second)
    await check_at_rest(works)


async def test_background_starts_when_nothing_interactive_waits(works) -> None:
    blocking = await works.accept(STALLED)
    background = await works.accept(STALLED, lane=Lane.BACKGROUND)
    interactive = await works.accept(STALLED)
    assert works.engine.lanes()[Lane.BACKGROUND][0] == works.engine.lanes()[Lane.INTERACTIVE][0] == 1
    works.engine.cancel(blocking)
    await works.answering(interactive)
    assert works.feed(background).log.top == 0
    works.engine.cancel(interactive)
    await works.answering(background)
    works.engine.cancel(background)
    await check_at_rest(works)


async def test_the_queue_tells_how_long_its_oldest_has_waited(tmp_path) -> None:
    clock = MovedClock()
    async with working(tmp_path, clock=clock, ollama__slots=1) as works:
        blocking = await works.accept(STALLED)
        await works.accept(lane=Lane.BACKGROUND)
        clock.move(2)
        await works.accept(lane=Lane.BACKGROUND)
        clock.move(3)
        assert works.engine.lanes() == {Lane.INTERACTIVE: (0, 0.0), Lane.BACKGROUND: (2, 5.0)}
        works.engine.cancel(blocking)
        await check_at_rest(works)


async def test_a_stop_in_the_same_step_as_a_slot_is_a_stop_and_loses_no_slot(works) -> None:
    for _ in range(20):
        running, waiting = await works.accept(STALLED), await works.accept(STALLED)
        works.engine.cancel(running)
        await works.ended(running)
        # The slot has just been given back, and the one that waited has it or is about to.
        works.engine.cancel(waiting)
        await check_ended(works, waiting, Reason.CANCELLED)
    await check_at_rest(works)
