import asyncio

import pytest
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs

from chatserver.errors import Draining
from chatserver.generation.ids import GENERATION, new_id
from chatserver.generation.pieces import Channel
from chatserver.generation.states import Lane, Reason, Status
from tests.unit.clock import MovedClock, loop_time
from tests.unit.engine.ends import STALLED, check_at_rest, check_ended, ending_of
from tests.unit.works import ALICE, BOB, MODEL, working

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_finds_a_free_slot_runs_at_once_and_is_claimed_by_being_accepted(works) -> None:
    generation = await works.accept()
    record = await works.record(generation)
    assert (record.owner, record.attempts, record.epoch) == (works.engine.owner, 1, 1)
    await check_ended(works, generation, Reason.COMPLETED)
    await check_at_rest(works)


async def test_lines_of_a_run_name_nothing_of_the_one_that_gave_its_slot(works) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        for who, said in (ALICE, STALLED), (BOB, "Hello"):
            with bound_contextvars(request_id=f"asked by {who.user}"):
                generation = await works.accept(said, principal=who)
            if said == STALLED:
                await works.answering(generation)
                first = generation
        with bound_contextvars(request_id="stopped by somebody"):
            works.engine.cancel(first)
        await works.idle()
    named = [(line["user"], line["request_id"]) for line in lines if line["event"] == "ended"]
    assert named == [("alice", "asked by alice"), ("bob", "asked by bob")]


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
        running, waiting = await works.accept(STALLED), await works.accept(STALLED, expires_in=30)
        await works.answering(running)
        await works.engine.close()
        # Not even time ends anything now.
        loop_time().passes(31)
        for _ in range(3):
            await asyncio.sleep(0)
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
