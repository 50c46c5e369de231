import asyncio
from uuid import uuid4

import orjson
import pytest

from chatserver.chat import accepting
from chatserver.chat.accepting import AT_ONCE
from chatserver.errors import (
    ContextTooLong,
    Draining,
    Full,
    KeyReused,
    NotFound,
    StoreUnavailable,
    TooMany,
    Unavailable,
)
from chatserver.generation.states import Lane, Reason, Status
from tests.unit.chat.desk import Desk
from tests.unit.clock import MovedClock
from tests.unit.works import working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"


@pytest.fixture
def key() -> str:
    return uuid4().hex


async def test_what_is_accepted_is_on_disk_and_on_its_way(desk) -> None:
    receipt = await desk.hand_in(STALLED)
    record = await desk.works.record(receipt.generation)
    assert (receipt.status, record.status) == (202, Status.RUNNING)
    assert orjson.loads(receipt.body)["generation"]["id"] == receipt.generation == record.id
    await desk.works.answering(receipt.generation)


async def test_a_repeat_gets_the_same_answer_and_starts_nothing(desk, key) -> None:
    receipts = [await desk.hand_in("[[tokens=2]]", key) for _ in range(3)]
    assert len({receipt.body for receipt in receipts}) == 1
    await desk.works.ended(receipts[0].generation)
    await desk.works.idle()
    assert (await desk.hand_in("[[tokens=2]]", key)).body == receipts[0].body
    assert list(desk.works.engine.jobs()) == []


async def test_of_those_that_come_together_the_first_are_answered_before_the_last_are_stored(desk) -> None:
    writer = desk.works.parts.store.writer
    async with desk.works.writer_held():
        sending = [asyncio.create_task(desk.hand_in("[[tokens=1]]")) for _ in range(AT_ONCE + 5)]
        async with asyncio.timeout(10):
            while len(writer._waiting) < AT_ONCE:  # noqa: ASYNC110 - a queue that grows tells nobody
                await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(writer._waiting) == AT_ONCE
    assert len({receipt.generation for receipt in await asyncio.gather(*sending)}) == AT_ONCE + 5
    await desk.works.idle()


async def test_whoever_goes_away_before_it_is_stored_leaves_its_place(tmp_path) -> None:
    async with working(tmp_path, limits__messages_per_minute=3 * AT_ONCE) as works:
        desk = Desk(works)
        async with works.writer_held():
            sending = [asyncio.create_task(desk.hand_in("[[tokens=1]]")) for _ in range(AT_ONCE + 5)]
            for _ in range(20):
                await asyncio.sleep(0)
            for each in sending:
                each.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
        receipts = await asyncio.gather(*(desk.hand_in("[[tokens=1]]") for _ in range(AT_ONCE)))
        assert len({receipt.generation for receipt in receipts}) == AT_ONCE
        await works.idle()


async def test_while_the_store_hangs_those_without_a_place_are_refused_too(desk, monkeypatch) -> None:
    monkeypatch.setattr(accepting, "_LONGEST_WAIT_S", 0)
    async with desk.works.writer_held():
        sending = [asyncio.create_task(desk.hand_in("[[tokens=1]]")) for _ in range(AT_ONCE + 5)]
        refused, _ = await asyncio.wait(sending, return_when=asyncio.FIRST_EXCEPTION)
        assert {type(each.exception()) for each in refused} == {StoreUnavailable}
    await asyncio.gather(*sending, return_exceptions=True)
    assert sum(each.exception() is None for each in sending) == AT_ONCE
    await desk.works.idle()


async def test_of_many_repeats_at_once_one_is_carried_out(desk, key) -> None:
    receipts = await asyncio.gather(*(desk.hand_in(STALLED, key) for _ in range(20)))
    assert len({receipt.body for receipt in receipts}) == 1
    assert [job.generation for job in desk.works.engine.jobs()] == [receipts[0].generation]
    await desk.works.answering(receipts[0].generation)


async def test_a_key_stands_for_one_request(desk, key) -> None:
    conversation = await desk.begin()
    await desk.send(conversation, "[[tokens=2]]", key)
    for other in (
        desk.send(conversation, "Something else", key),
        desk.send(conversation, "[[tokens=2]]", key, model="sim-tiny"),
        desk.send(conversation, "[[tokens=2]]", key, options={"seed": 1}),
        desk.send(conversation, "[[tokens=2]]", key, parent=None),
        desk.send(await desk.begin(), "[[tokens=2]]", key),
        desk.hand_in("[[tokens=2]]", key),
        desk.begin(key=key),
    ):
        with pytest.raises(KeyReused):
            await other
    assert len(list(desk.works.engine.jobs())) <= 1


async def test_a_repeat_is_answered_while_its_own_answer_is_still_being_made(desk, key) -> None:
    conversation = await desk.begin()
    first = await desk.send(conversation, STALLED, key)
    assert (await desk.send(conversation, STALLED, key)).body == first.body


async def test_a_repeat_is_answered_even_where_new_work_is_refused(tmp_path, key) -> None:
    clock = MovedClock()
    limits = {"limits__messages_per_minute": 4, "limits__waiting": 1, "ollama__slots": 1}
    async with working(tmp_path, clock=clock, **limits) as works:
        desk = Desk(works)
        first = await desk.hand_in(STALLED, key)
        await desk.hand_in(STALLED)
        with pytest.raises(Full):
            await desk.hand_in(STALLED)
        assert (await desk.hand_in(STALLED, key)).body == first.body
        # The fifth message in this minute.
        with pytest.raises(TooMany):
            await desk.hand_in(STALLED)
        assert (await desk.hand_in(STALLED, key)).body == first.body
        clock.move(61)
        works.engine.drain()
        with pytest.raises(Draining):
            await desk.hand_in(STALLED)
        assert (await desk.hand_in(STALLED, key)).body == first.body
        with pytest.raises(KeyReused):
            await desk.hand_in("Something else", key)
        await works.clear()


async def test_a_repeat_is_answered_while_no_model_server_is(tmp_path, key) -> None:
    async with working(tmp_path, ollama__model="") as works:
        desk = Desk(works)
        first = await desk.hand_in("[[tokens=2]]", key)
        works.parts.fleet.replace([])
        with pytest.raises(Unavailable):
            await desk.hand_in("[[tokens=2]]")
        assert (await desk.hand_in("[[tokens=2]]", key)).body == first.body


async def test_a_repeat_is_answered_though_it_would_be_too_long_by_now(tmp_path, key) -> None:
    said = "word " * 1000
    async with working(tmp_path) as works:
        first = await Desk(works).hand_in(said, key)
        await works.ended(first.generation)
    async with working(tmp_path, ollama__num_ctx=512, generation__answer_reserve_tokens=256) as works:
        with pytest.raises(ContextTooLong):
            await Desk(works).hand_in(said)
        assert (await Desk(works).hand_in(said, key)).body == first.body


async def test_a_key_is_forgotten_after_a_day(tmp_path, key) -> None:
    clock = MovedClock()
    async with working(tmp_path, clock=clock) as works:
        desk = Desk(works)
        first = await desk.hand_in("[[tokens=2]]", key)
        clock.move(24 * 3600 - 1)
        assert (await desk.hand_in("[[tokens=2]]", key)).body == first.body
        clock.move(2)
        assert (await desk.hand_in("[[tokens=2]]", key)).body != first.body
        await works.idle()


async def test_what_is_refused_is_not_kept_under_its_key(desk, key) -> None:
    with pytest.raises(NotFound):
        await desk.send("conv_nobody", "Hello", key)
    async with desk.works.store_away():
        with pytest.raises(StoreUnavailable):
            await desk.hand_in("[[tokens=2]]", key)
    assert list(desk.works.engine.jobs()) == []
    await desk.works.ended((await desk.hand_in("[[tokens=2]]", key)).generation)


async def test_what_is_on_its_way_to_the_disk_runs_though_nobody_waits_for_it_any_more(desk) -> None:
    async with desk.works.writer_held():
        asking = asyncio.create_task(desk.hand_in("[[tokens=2]]"))
        await desk.works.admitted()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    (job,) = desk.works.engine.jobs()
    assert (await desk.works.ended(job.generation)).ended
    assert (await desk.works.record(job.generation)).reason is Reason.COMPLETED


async def test_a_cancel_right_after_the_commit_and_before_the_answer_counts(desk) -> None:
    """Whoever watches the conversation may learn of a generation before its sender does."""
    conversation = await desk.begin()
    heard: list[str] = []

    def cancel_all(_number: int | None) -> None:
        for job in desk.works.engine.jobs():
            heard.append(job.generation)
            desk.works.engine.cancel(job.generation)

    with desk.works.parts.watchers.watching(conversation, cancel_all):
        receipt = await desk.send(conversation, STALLED)
        log = await desk.works.ended(receipt.generation)
    assert receipt.generation in heard
    assert log.ending is not None
    assert log.ending.reason is Reason.CANCELLED


async def test_one_user_may_have_only_so_many_on_their_way(tmp_path) -> None:
    async with working(tmp_path, limits__outstanding_per_user=2, ollama__slots=1) as works:
        desk = Desk(works)
        receipts = [await desk.hand_in(STALLED) for _ in range(2)]
        with pytest.raises(TooMany) as raised:
            await desk.hand_in(STALLED)
        assert raised.value.facts["limit"] == 2
        for receipt in receipts:
            works.engine.cancel(receipt.generation)
            await works.ended(receipt.generation)
        await works.idle()
        await works.ended((await desk.hand_in()).generation)


async def test_what_is_accepted_is_counted_by_its_lane(desk) -> None:
    def accepted(lane: Lane) -> float:
        registry = desk.works.parts.metrics.registry
        return registry.get_sample_value("chatserver_generations_accepted_total", {"class": lane}) or 0

    before = {lane: accepted(lane) for lane in Lane}
    repeated = uuid4().hex
    for _ in range(2):
        await desk.hand_in("[[tokens=2]]", repeated, lane=Lane.BACKGROUND)
    assert {lane: accepted(lane) - before[lane] for lane in Lane} == {Lane.INTERACTIVE: 0, Lane.BACKGROUND: 1}
