import asyncio

import orjson
import pytest

from chatserver.chat.work import stored_log
from chatserver.errors import ContextTooLong, NotFound, StoreUnavailable
from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel, Ending
from chatserver.generation.position import START
from chatserver.generation.states import Lane, Reason, Status
from chatserver.wire.frames import frame_of
from tests.unit.chat.desk import Desk
from tests.unit.works import ALICE, BOB, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"


def frames(feed: Feed) -> list[dict]:
    """What a reader from the start gets, text joined, without positions."""
    with Cursor(feed, START, lambda: None) as cursor:
        batch = cursor.read()
    assert batch is not None
    return [{**frame_of("g", position, piece), "id": None} for position, piece in batch.entries]


async def test_work_that_was_handed_in_can_be_looked_at_until_it_has_ended_and_after(desk) -> None:
    receipt = await desk.hand_in(STALLED, metadata={"case": 7})
    text = (await desk.works.answering(receipt.generation)).text(Channel.ANSWER)
    shown = await desk.work.get(ALICE, receipt.generation)
    assert (shown.status, shown.result, shown.metadata) == (Status.RUNNING, text, {"case": 7})
    cancelled = await desk.work.cancel(ALICE, receipt.generation)
    assert cancelled.id == receipt.generation
    await desk.works.ended(receipt.generation)
    shown = await desk.work.get(ALICE, receipt.generation)
    assert (shown.status, shown.result, shown.reason) == (Status.CANCELLED, text, Reason.CANCELLED)


async def test_cancelling_is_on_disk_when_it_is_answered_and_may_be_repeated(desk) -> None:
    receipt = await desk.hand_in(STALLED)
    for _ in range(3):
        await desk.work.cancel(ALICE, receipt.generation)
        assert (await desk.works.record(receipt.generation)).cancel
    await desk.works.ended(receipt.generation)
    again = await desk.work.cancel(ALICE, receipt.generation)
    assert again.status is Status.CANCELLED


async def test_cancelling_what_has_completed_changes_nothing(desk) -> None:
    receipt = await desk.hand_in()
    await desk.works.ended(receipt.generation)
    before = await desk.works.record(receipt.generation)
    await desk.work.cancel(ALICE, receipt.generation)
    assert await desk.works.record(receipt.generation) == before


async def test_what_belongs_to_another_is_not_there(desk) -> None:
    receipt = await desk.hand_in(STALLED)
    for asking in (
        desk.work.get(BOB, receipt.generation),
        desk.work.cancel(BOB, receipt.generation),
        desk.work.feed(BOB, receipt.generation),
    ):
        with pytest.raises(NotFound):
            await asking
    assert not desk.works.feed(receipt.generation).log.ended
    desk.works.engine.cancel(receipt.generation)
    await desk.works.ended(receipt.generation)
    await desk.works.idle()
    with pytest.raises(NotFound):
        await desk.work.feed(BOB, receipt.generation)


@pytest.mark.parametrize(
    ("said", "model"),
    [
        ("[[tokens=5]]", "sim-chat"),
        ("Why is the sky blue?", "sim-think:latest"),
        ("[[fault=status-500]]", "sim-chat"),
        ("[[fault=cut]] [[tokens=4]]", "sim-chat"),
    ],
)
async def test_the_store_tells_the_same_as_the_log_in_memory_did(tmp_path, said, model) -> None:
    async with working(tmp_path, generation__retry_first_delay_s=0, generation__attempts=2) as works:
        desk = Desk(works)
        for lane in Lane:
            receipt = await desk.hand_in(said, model=model, lane=lane)
            await works.ended(receipt.generation)
            live = await desk.work.feed(ALICE, receipt.generation)
            await works.idle()
            works.engine._shelf.forget(receipt.generation)
            stored = await desk.work.feed(ALICE, receipt.generation)
            assert stored is not live
            assert frames(stored) == [frame for frame in frames(live) if frame["type"] != "reset"]
            assert stored.log.position == live.log.position


async def test_what_the_store_tells_ends_where_the_log_in_memory_did_for_whoever_comes_back(desk) -> None:
    receipt = await desk.hand_in()
    final = (await desk.works.ended(receipt.generation)).position
    await desk.works.idle()
    desk.works.engine._shelf.forget(receipt.generation)
    feed = await desk.work.feed(ALICE, receipt.generation)
    with Cursor(feed, final, lambda: None) as cursor:
        assert cursor.at_end
        assert cursor.read() is None


async def test_an_answer_that_was_cancelled_before_it_began_is_an_end_and_nothing_else(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        desk = Desk(works)
        await desk.hand_in(STALLED)
        waiting = await desk.hand_in()
        await desk.work.cancel(ALICE, waiting.generation)
        log = await works.ended(waiting.generation)
        assert [type(piece) for _, piece in log.since(0)] == [Ending]
        await works.clear()
        works.engine._shelf.forget(waiting.generation)
        stored = (await desk.work.feed(ALICE, waiting.generation)).log
        assert [type(piece) for _, piece in stored.since(0)] == [Ending]


async def test_what_runs_elsewhere_or_nowhere_is_to_be_asked_for_again(desk) -> None:
    receipt = await desk.hand_in(STALLED)
    with pytest.raises(StoreUnavailable, match="being taken up again"):
        stored_log(await desk.works.record(receipt.generation))


async def test_work_that_is_too_long_is_refused_before_anything_is_stored(desk) -> None:
    before = await desk.work.page(ALICE, None, 50, None)
    with pytest.raises(ContextTooLong):
        await desk.hand_in("word " * 3000, model="sim-tiny")
    assert (await desk.work.page(ALICE, None, 50, None)).items == before.items


async def test_ones_own_generations_are_listed_newest_first_and_by_status(desk) -> None:
    ended = await desk.hand_in()
    await desk.works.ended(ended.generation)
    running = await desk.hand_in(STALLED)
    page = await desk.work.page(ALICE, None, 2, None)
    assert [each.id for each in page.items] == [running.generation, ended.generation]
    assert [each.id for each in (await desk.work.page(ALICE, Status.RUNNING, 50, None)).items] == [
        running.generation
    ]
    assert (await desk.work.page(BOB, None, 50, None)).items == ()


async def test_work_that_is_not_wanted_any_more_expires(desk) -> None:
    receipt = await desk.hand_in(STALLED, expires_in_s=0.03)
    assert orjson.loads(receipt.body)["generation"]["expires_at"] is not None
    await desk.works.ended(receipt.generation)
    shown = await desk.work.get(ALICE, receipt.generation)
    assert (shown.status, shown.reason) == (Status.FAILED, Reason.EXPIRED)


async def test_a_log_is_found_whatever_happens_while_it_is_looked_for(desk) -> None:
    """Looked for at every moment from before it is accepted to long after its end."""
    for steps in range(0, 60, 3):
        receipt = await desk.hand_in("[[tokens=1]]")
        for _ in range(steps):
            await asyncio.sleep(0)
        feed = await desk.work.feed(ALICE, receipt.generation)
        assert feed.generation == receipt.generation
        await desk.works.ended(receipt.generation)
