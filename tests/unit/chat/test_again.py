from functools import partial

import orjson
import pytest
import pytest_asyncio

from chatserver.chat.again import Again
from chatserver.errors import NotFailed, NotFound, NothingToRegenerate, TurnInProgress
from chatserver.generation.states import Lane, Reason, Status
from tests.unit.chat.desk import Desk, caller
from tests.unit.works import ALICE, BOB, MODEL

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"
FAILING = "[[fault=error-line]] [[tokens=8]]"


def again_of(desk: Desk) -> Again:
    parts = desk.works.parts
    return Again(desk.accepting, parts.fleet, parts.store.conversations, parts.store.generations, parts.clock)


async def answered(desk: Desk, conversation: str, said: str = "[[tokens=2]]", **more) -> dict:
    receipt = await desk.send(conversation, said, **more)
    await desk.works.ended(receipt.generation)
    return orjson.loads(receipt.body)


async def test_by_default_the_last_answer_is_made_anew_and_told_from_the_first_by_its_place(desk) -> None:
    conversation = await desk.begin()
    first = await answered(desk, conversation)
    receipt = await again_of(desk).regenerate(caller(), conversation, None, None)
    assert receipt.status == 202
    generation = orjson.loads(receipt.body)["generation"]
    await desk.works.ended(generation["id"])
    answer = (await desk.conversing.branch(ALICE, conversation, None, None, 50)).items[-1]
    assert answer.id == generation["message"]
    assert answer.versions == (first["generation"]["message"], answer.id)
    assert answer.content == (await desk.works.record(generation["id"])).result != ""


async def test_a_named_one_is_made_anew(desk) -> None:
    conversation = await desk.begin()
    first = await answered(desk, conversation)
    await answered(desk, conversation)
    receipt = await again_of(desk).regenerate(caller(), conversation, first["generation"]["message"], None)
    await desk.works.ended(receipt.generation)
    assert len((await desk.conversing.branch(ALICE, conversation, None, None, 50)).items) == 2


async def test_the_model_is_the_conversations_or_that_of_the_answer_before_with_its_options(desk) -> None:
    conversation = await desk.begin()
    await answered(desk, conversation, model="sim-tiny", options={"seed": 7})
    for chosen, model in ((None, "sim-tiny"), ("sim-closed", "sim-closed")):
        if chosen:
            await desk.changing.change(ALICE, conversation, {"model": chosen})
        receipt = await again_of(desk).regenerate(caller(), conversation, None, None)
        await desk.works.ended(receipt.generation)
        record = await desk.works.record(receipt.generation)
        assert (record.model, record.request) == (model, {"options": {"seed": 7}})


async def test_where_nothing_was_answered_nothing_is_made_anew(desk) -> None:
    conversation = await desk.begin()
    with pytest.raises(NothingToRegenerate):
        await again_of(desk).regenerate(caller(), conversation, None, None)
    with pytest.raises(NotFound):
        await again_of(desk).regenerate(caller(), conversation, "msg_nobody", None)


async def test_none_is_made_beside_one_that_is_being_made(desk) -> None:
    conversation = await desk.begin()
    running = (await desk.send(conversation, STALLED)).generation
    with pytest.raises(TurnInProgress) as refusal:
        await again_of(desk).regenerate(caller(), conversation, None, None)
    assert refusal.value.facts == {"generation": running}
    assert len(list(desk.works.engine.jobs())) == 1


async def test_a_repeat_gets_the_first_answer_although_the_leaf_has_moved(desk) -> None:
    conversation = await desk.begin()
    await answered(desk, conversation)
    asking = partial(again_of(desk).regenerate, caller(), conversation, None, "key-regenerate")
    first = await asking()
    assert await asking() == first
    await desk.works.ended(first.generation)
    assert await asking() == first


@pytest_asyncio.fixture(loop_scope="session")
async def failed(desk) -> dict:
    generation = (await answered(desk, await desk.begin(), FAILING))["generation"]
    assert (await desk.works.record(generation["id"])).status is Status.FAILED
    return generation


async def test_in_a_conversation_a_retry_is_another_answer_beside_the_one_that_failed(desk, failed) -> None:
    receipt = await again_of(desk).retry(caller(), failed["id"], None)
    generation = orjson.loads(receipt.body)["generation"]
    await desk.works.ended(generation["id"])
    assert (generation["retry_of"], generation["conversation"]) == (failed["id"], failed["conversation"])
    answer = (await desk.conversing.branch(ALICE, failed["conversation"], None, None, 50)).items[-1]
    assert answer.versions == (failed["message"], generation["message"])


async def test_one_is_retried_once_at_a_time_and_a_repeat_is_the_same(desk, failed) -> None:
    asking = partial(again_of(desk).retry, caller(), failed["id"])
    first = await asking("key-retry")
    assert await asking("key-retry") == first
    await desk.works.ended(first.generation)


async def test_handed_in_work_is_handed_in_again_as_it_was(desk) -> None:
    receipt = await desk.hand_in(FAILING, metadata={"case": 7}, lane=Lane.INTERACTIVE, expires_in_s=60.0)
    await desk.works.ended(receipt.generation)
    before = await desk.works.record(receipt.generation)
    again = await again_of(desk).retry(caller(), receipt.generation, None)
    await desk.works.ended(again.generation)
    after = await desk.works.record(again.generation)
    assert (after.retry_of, after.request, after.metadata, after.model) == (
        before.id,
        before.request,
        {"case": 7},
        MODEL,
    )
    assert after.expires_at - after.created_at == 60_000
    assert after.reason is Reason.UPSTREAM_ERROR


async def test_what_did_not_fail_is_not_retried(desk) -> None:
    completed = (await answered(desk, await desk.begin()))["generation"]["id"]
    running = (await desk.send(await desk.begin(), STALLED)).generation
    for generation in (completed, running):
        with pytest.raises(NotFailed):
            await again_of(desk).retry(caller(), generation, None)


async def test_what_belongs_to_another_is_not_there(desk, failed) -> None:
    for asking in (
        again_of(desk).retry(caller(BOB), failed["id"], None),
        again_of(desk).regenerate(caller(BOB), failed["conversation"], failed["message"], None),
        again_of(desk).regenerate(caller(BOB), failed["conversation"], None, None),
    ):
        with pytest.raises(NotFound):
            await asking
