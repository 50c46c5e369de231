import asyncio
import gc
from contextlib import ExitStack, suppress

import pytest

from chatserver.errors import Draining, Full, StoreUnavailable
from chatserver.generation.cursor import Cursor
from chatserver.generation.ids import GENERATION, new_id
from chatserver.generation.log import TokenLog
from chatserver.generation.pieces import Channel, Ending
from chatserver.generation.position import START
from chatserver.generation.states import Lane, Reason, Status
from chatserver.upstream.simulator import SimulatorOptions
from tests.unit.clock import MovedClock, loop_time
from tests.unit.works import ALICE, MODEL, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "Hello [[fault=stall]] [[tokens=8]]"
OTHER = "sim-think:latest"


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


async def test_what_finds_a_free_slot_runs_at_once_and_is_claimed_by_being_accepted(works) -> None:
    generation = await works.accept()
    record = await works.record(generation)
    assert (record.owner, record.attempts, record.epoch) == (works.engine.owner, 1, 1)
    await check_ended(works, generation, Reason.COMPLETED)
    await check_at_rest(works)


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


async def test_beyond_its_bound_the_queue_refuses_and_keeps_nothing(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1, limits__waiting=2) as works:
        running = await works.accept(STALLED)
        waiting = [await works.accept(STALLED) for _ in range(2)]
        with pytest.raises(Full):
            await works.accept()
        assert len(list(works.engine.jobs())) == 3
        works.engine.cancel(waiting[0])
        works.engine.cancel(await works.accept(STALLED))
        for each in (running, waiting[1]):
            works.engine.cancel(each)
        await check_at_rest(works)


async def test_room_is_kept_for_what_is_being_stored(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1, limits__waiting=2) as works:
        async with works.writer_held():
            accepting = [asyncio.create_task(works.accept(STALLED)) for _ in range(9)]
            await asyncio.sleep(0)
        accepted = await asyncio.gather(*accepting, return_exceptions=True)
        assert [type(each) for each in accepted] == [str] * 3 + [Full] * 6
        for each in accepted[:3]:
            works.engine.cancel(str(each))
        await check_at_rest(works)


async def test_what_gets_a_slot_needs_no_place_in_the_queue(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1, limits__waiting=1) as works:
        running = await works.accept(STALLED)
        async with works.writer_held():
            waiting = asyncio.create_task(works.accept(STALLED))
            await asyncio.sleep(0)
            works.engine.cancel(running)
            while works.engine.slots_taken:  # noqa: ASYNC110 - a slot that is given back tells nobody
                await asyncio.sleep(0)
            another = asyncio.create_task(works.accept(STALLED))
            await asyncio.sleep(0)
        for each in (await waiting, await another):
            works.engine.cancel(each)
        await check_at_rest(works)


async def test_what_there_will_be_no_room_for_is_refused_before_it_is_prepared(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1, limits__waiting=2) as works:
        with ExitStack() as prepared:
            # One for the slot, two for the queue.
            for _ in range(3):
                prepared.enter_context(works.engine.preparing("alice"))
            with pytest.raises(Full):
                prepared.enter_context(works.engine.preparing("alice"))
        accepted = [await works.accept(STALLED) for _ in range(2)]
        with works.engine.preparing("alice"), pytest.raises(Full), works.engine.preparing("alice"):
            pass
        for each in accepted:
            works.engine.cancel(each)
        await check_at_rest(works)


async def test_what_could_not_be_stored_gives_its_room_and_its_slot_back(works) -> None:
    for _ in range(3):
        with (
            suppress(ZeroDivisionError),
            works.engine.admit("gen_x", ALICE, MODEL, Lane.INTERACTIVE) as admission,
        ):
            assert admission.slot is not None
            raise ZeroDivisionError
    with works.engine.admit("gen_x", ALICE, MODEL, Lane.INTERACTIVE):
        # Its slot is taken, so this one waits for it.
        waiting = await works.accept()
    await check_ended(works, waiting, Reason.COMPLETED)
    await check_at_rest(works)


async def test_while_draining_nothing_new_is_taken_and_nothing_that_waits_is_started(alone) -> None:
    running, waiting = await alone.accept(STALLED), await alone.accept()
    await alone.answering(running)
    alone.engine.drain()
    with pytest.raises(Draining):
        await alone.accept()
    alone.engine.cancel(running)
    await alone.idle()
    record = await alone.record(waiting)
    assert (record.status, record.attempts) == (Status.QUEUED, 0)


async def test_draining_tells_the_readers_of_all_that_goes_on_after_the_next_start(alone) -> None:
    running, waiting = await alone.accept(STALLED), await alone.accept()
    await alone.answering(running)
    with alone.engine.admit("gen_late", ALICE, MODEL, Lane.INTERACTIVE) as admission:
        alone.engine.drain()
        admission.accept(await alone.record(waiting))
    feeds = [alone.feed(generation) for generation in (running, waiting, "gen_late")]
    assert [feed.parked for feed in feeds] == [False, True, True]
    await alone.clear()
    assert not feeds[0].parked


async def test_what_waits_can_be_cancelled_while_draining(alone) -> None:
    running, waiting = await alone.accept(STALLED), await alone.accept()
    alone.engine.drain()
    alone.engine.cancel(waiting)
    await check_ended(alone, waiting, Reason.CANCELLED)
    alone.engine.cancel(running)
    await check_at_rest(alone)


async def test_draining_waits_for_no_run_that_waits_for_a_slot_again(alone) -> None:
    failing = await alone.accept("[[fault=status-503]]", lane=Lane.BACKGROUND)
    await alone.until(failing, lambda log: log.top > 0)
    alone.engine.drain()
    await alone.idle()
    record = await alone.record(failing)
    # It stays on disk for the next start.
    assert (record.status, record.reason) == (Status.RUNNING, None)


async def test_closing_stops_everything_and_leaves_it_on_disk_for_the_next_start(tmp_path) -> None:
    async with working(tmp_path / "d", ollama__slots=1) as works:
        running, waiting = await works.accept(STALLED), await works.accept(STALLED, expires_in=0.3)
        await works.answering(running)
        await works.engine.close()
        # Not even time ends anything now.
        await asyncio.sleep(0.31)
        records = [await works.record(each) for each in (running, waiting)]
        assert [record.status for record in records] == [Status.RUNNING, Status.QUEUED]
        await works.stats(in_flight=0)
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("run ")] == []


async def test_a_finished_log_stays_for_a_while_with_whom_it_belongs_to(tmp_path) -> None:
    clock = MovedClock()
    async with working(tmp_path, clock=clock, generation__keep_finished_s=60) as works:
        generation = await works.accept()
        await works.ended(generation)
        await works.idle()
        found = works.engine.feed(generation)
        assert found is not None
        assert found[1] == ALICE
        clock.move(61)
        await works.ended(await works.accept())
        await works.idle()
        assert works.engine.feed(generation) is None


async def test_cancelling_what_nobody_knows_changes_nothing(works) -> None:
    works.engine.cancel(new_id(GENERATION))
    generation = await works.accept()
    await works.ended(generation)
    await works.idle()
    works.engine.cancel(generation)
    await check_ended(works, generation, Reason.COMPLETED)


async def test_work_that_expires_while_it_waits_ends_as_expired_without_having_run(works) -> None:
    running = await works.accept(STALLED)
    waiting = await works.accept(expires_in=0.02)
    await check_ended(works, waiting, Reason.EXPIRED)
    record = await works.record(waiting)
    assert (record.status, record.context) == (Status.FAILED, None)
    works.engine.cancel(running)
    await check_at_rest(works)


async def test_work_that_expires_while_it_runs_keeps_its_text(works) -> None:
    generation = await works.accept(STALLED, expires_in=20)
    text = (await works.answering(generation)).text(Channel.ANSWER)
    loop_time().passes(20)
    await check_ended(works, generation, Reason.EXPIRED)
    assert (await works.record(generation)).result == text != ""


async def test_what_ended_in_time_leaves_no_timer_behind(works) -> None:
    generation = await works.accept(expires_in=1000)
    jobs = list(works.engine.jobs())
    await works.ended(generation)
    await works.idle()
    assert jobs[0].expiry is not None
    assert jobs[0].expiry.cancelled()


async def test_a_stop_in_the_same_step_as_a_slot_is_a_stop_and_loses_no_slot(works) -> None:
    for _ in range(20):
        running, waiting = await works.accept(STALLED), await works.accept(STALLED)
        works.engine.cancel(running)
        await works.ended(running)
        # The slot has just been given back, and the one that waited has it or is about to.
        works.engine.cancel(waiting)
        await check_ended(works, waiting, Reason.CANCELLED)
    await check_at_rest(works)


@pytest.mark.parametrize(
    "said", [STALLED, "Hello [[tokens=30]]", "[[fault=slow-first-token]]", "[[fault=drop]]"]
)
async def test_a_cancel_at_any_step_ends_it_once_and_leaves_nothing(works, said) -> None:
    """Let the loop take one more step before each cancel, from none at all to well into the answer."""
    for steps in [*range(12), *range(12, 60, 7)]:
        generation = await works.accept(said)
        for _ in range(steps):
            await asyncio.sleep(0)
        works.engine.cancel(generation)
        log = await works.ended(generation)
        assert ending_of(log).reason in {Reason.CANCELLED, Reason.COMPLETED, Reason.UPSTREAM_TRUNCATED}
        await check_ended(works, generation, ending_of(log).reason)
    await check_at_rest(works)


async def test_a_cancel_at_any_step_of_a_second_attempt_ends_it_once_and_leaves_nothing(works) -> None:
    for steps in [*range(0, 60, 4), *range(60, 400, 30)]:
        generation = await works.accept("[[fault=cut]] [[tokens=4]]", lane=Lane.BACKGROUND)
        for _ in range(steps):
            await asyncio.sleep(0)
        works.engine.cancel(generation)
        log = await works.ended(generation)
        await check_ended(works, generation, ending_of(log).reason)
    await check_at_rest(works)


async def test_a_hundred_runs_that_end_in_every_way_leave_nothing(tmp_path) -> None:
    says = [
        "[[tokens=3]]",
        STALLED,
        "[[fault=status-500]]",
        "[[fault=drop]] [[tokens=4]]",
        "[[fault=garbage]]",
    ]
    async with working(tmp_path, ollama__slots=8, generation__retry_first_delay_s=0) as works:
        before = len(asyncio.all_tasks())
        feeds = []
        for _ in range(4):
            generations = await asyncio.gather(
                *(works.accept(f"{n} {says[n % len(says)]}", lane=list(Lane)[n % 2]) for n in range(25))
            )
            feeds += [works.feed(generation) for generation in generations]
            for n, generation in enumerate(generations):
                if says[n % len(says)] == STALLED:
                    works.engine.cancel(generation)
            await works.idle()
        assert all(feed.log.ended and feed.readers == 0 for feed in feeds)
        await check_at_rest(works)
        assert len(asyncio.all_tasks()) <= before


async def test_a_refusal_that_nobody_waits_for_any_more_is_no_error(shared: Works):
    refused, told = asyncio.Event(), []

    async def work() -> None:
        await refused.wait()
        raise StoreUnavailable

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    try:
        asking = asyncio.create_task(shared.engine.carry(work()))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        # It remembers where it was cancelled, and so the work.
        del asking
        refused.set()
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert told == []
