import asyncio

import orjson
import pytest

from chatserver.errors import NotFound
from chatserver.generation.pieces import Channel
from chatserver.generation.states import Reason
from tests.unit.chat.desk import Desk
from tests.unit.works import ALICE, BOB, Works, seen_in, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"


async def check_at_rest(works: Works) -> None:
    await works.idle()
    assert list(works.engine.jobs()) == []
    assert works.engine.slots_taken == 0
    await works.stats(in_flight=0)


async def test_deleting_stops_the_model_and_gives_readers_their_end(desk) -> None:
    works, conversation = desk.works, await desk.begin()
    generation = (await desk.send(conversation, STALLED)).generation
    log = await works.answering(generation)
    await desk.changing.delete(ALICE, conversation)
    feed = works.feed(generation)
    await check_at_rest(works)
    assert (log.ending.reason, log.ending.sha256) == (Reason.CANCELLED, log.sha256())
    assert feed.log is log
    assert log.text(Channel.ANSWER) != ""
    # Neither the store nor the memory has it any more.
    for asking in (desk.work.get(ALICE, generation), desk.work.feed(ALICE, generation)):
        with pytest.raises(NotFound):
            await asking


async def test_what_waits_in_the_queue_gets_its_end_too(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        desk = Desk(works)
        first = (await desk.send(await desk.begin(), STALLED)).generation
        conversation = await desk.begin()
        waiting = works.feed((await desk.send(conversation)).generation)
        assert waiting.place is not None
        await desk.changing.delete(ALICE, conversation)
        log = await seen_in(waiting, lambda log: log.ended)
        assert [type(piece).__name__ for _, piece in log.since(0)] == ["Ending"]
        assert not works.feed(first).log.ended
        await works.clear()


async def test_finished_logs_are_let_go_of(desk) -> None:
    conversation = await desk.begin()
    generation = (await desk.send(conversation)).generation
    await desk.works.ended(generation)
    await desk.works.idle()
    assert desk.works.engine.feed(generation) is not None
    await desk.changing.delete(ALICE, conversation)
    assert desk.works.engine.feed(generation) is None


async def test_it_is_carried_through_although_its_caller_has_gone(desk) -> None:
    works, conversation = desk.works, await desk.begin()
    generation = (await desk.send(conversation, STALLED)).generation
    feed = works.feed(generation)
    async with works.writer_held():
        deleting = asyncio.create_task(desk.changing.delete(ALICE, conversation))
        await asyncio.sleep(0)
        deleting.cancel()
    await seen_in(feed, lambda log: log.ended)
    with pytest.raises(NotFound):
        await desk.conversing.get(ALICE, conversation)
    await check_at_rest(works)


async def test_a_turn_that_races_a_deletion_is_accepted_and_ends_or_finds_nothing(desk) -> None:
    works = desk.works
    for _ in range(10):
        conversation = await desk.begin()
        async with works.writer_held():
            racing = [
                asyncio.create_task(desk.send(conversation, STALLED, parent=None)),
                asyncio.create_task(desk.changing.delete(ALICE, conversation)),
                asyncio.create_task(desk.send(conversation, STALLED, parent=None)),
            ]
            await asyncio.sleep(0.001)
        results = await asyncio.gather(*racing, return_exceptions=True)
        assert results[1] is None
        for result in (results[0], results[2]):
            assert isinstance(result, NotFound) or orjson.loads(result.body)["generation"]
        await check_at_rest(works)


async def test_an_answer_that_ends_while_it_is_deleted_ends_once(desk) -> None:
    works = desk.works
    for _ in range(10):
        conversation = await desk.begin()
        generation = (await desk.send(conversation, "[[tokens=1]]")).generation
        feed = works.feed(generation)
        await desk.changing.delete(ALICE, conversation)
        await check_at_rest(works)
        assert feed.log.ended


async def test_what_belongs_to_another_is_not_there(desk) -> None:
    conversation = await desk.begin()
    generation = (await desk.send(conversation, STALLED)).generation
    for asking in (
        desk.changing.delete(BOB, conversation),
        desk.changing.change(BOB, conversation, {"title": "Mine"}),
    ):
        with pytest.raises(NotFound):
            await asking
    assert not desk.works.feed(generation).log.ended
