import orjson
import pytest

from chatserver.chat.conversing import Turn
from chatserver.errors import Invalid, NotFound, TurnInProgress
from tests.unit.chat.desk import Desk, caller
from tests.unit.clock import MovedClock
from tests.unit.works import ALICE, BOB, MODEL, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"


async def test_a_turn_is_a_question_and_the_place_of_its_answer(desk) -> None:
    conversation = await desk.begin()
    body = orjson.loads((await desk.send(conversation, "[[tokens=2]]", "r-turn")).body)
    message, generation = body["message"], body["generation"]
    assert (message["role"], message["content"], message["parent"], message["ref"]) == (
        "user",
        "[[tokens=2]]",
        None,
        "r-turn",
    )
    assert (generation["conversation"], generation["model"]) == (conversation, MODEL)
    await desk.works.ended(generation["id"])
    page = await desk.conversing.branch(ALICE, conversation, None, None, 50)
    assert [(each.id, each.role) for each in page.items] == [
        (message["id"], "user"),
        (generation["message"], "assistant"),
    ]
    assert page.items[1].content == (await desk.works.record(generation["id"])).result
    assert (await desk.conversing.get(ALICE, conversation)).leaf == generation["message"]


async def test_the_next_turn_follows_the_answer_unless_another_parent_is_named(desk) -> None:
    conversation = await desk.begin()
    first = orjson.loads((await desk.send(conversation)).body)
    await desk.works.ended(first["generation"]["id"])
    second = orjson.loads((await desk.send(conversation)).body)
    assert second["message"]["parent"] == first["generation"]["message"]
    await desk.works.ended(second["generation"]["id"])
    edited = orjson.loads((await desk.send(conversation, parent=None)).body)
    assert edited["message"]["parent"] is None
    assert edited["message"]["versions"] == [first["message"]["id"], edited["message"]["id"]]


async def test_nothing_follows_an_answer_that_is_still_being_made(desk) -> None:
    conversation = await desk.begin()
    first = await desk.send(conversation, STALLED)
    with pytest.raises(TurnInProgress) as raised:
        await desk.send(conversation)
    assert raised.value.facts == {"generation": first.generation}
    assert len(list(desk.works.engine.jobs())) == 1


@pytest.mark.parametrize("said", ["", " ", "\n\t\u00a0"])
async def test_a_message_needs_some_text(desk, said) -> None:
    with pytest.raises(Invalid, match="needs some text") as raised:
        await desk.send(await desk.begin(), said)
    assert raised.value.facts == {"field": "content"}


async def test_a_message_has_a_longest_length_in_characters(tmp_path) -> None:
    async with working(tmp_path, limits__content_characters=5) as works:
        desk = Desk(works)
        conversation = await desk.begin()
        await works.ended((await desk.send(conversation, "😀" * 5)).generation)
        with pytest.raises(Invalid, match="may have 5 characters; this one has 6") as raised:
            await desk.send(conversation, "😀" * 6)
        assert raised.value.facts == {"field": "content", "limit": 5}


async def test_the_model_is_the_turns_or_the_conversations_or_the_default(desk) -> None:
    conversation = await desk.begin(model="sim-closed")
    for named, model in (("sim-tiny", "sim-tiny"), (None, "sim-closed")):
        receipt = await desk.send(conversation, "[[tokens=1]]", model=named)
        await desk.works.ended(receipt.generation)
        assert (await desk.works.record(receipt.generation)).model == model
    receipt = await desk.send(await desk.begin())
    assert (await desk.works.record(receipt.generation)).model == MODEL


async def test_a_model_that_was_changed_meanwhile_answers_the_next_turn(desk) -> None:
    conversation = await desk.begin(model="sim-closed")
    for changed, model in (("sim-tiny", "sim-tiny"), (None, MODEL)):
        # As another instance would, which tells nobody here.
        await desk.changing.change(ALICE, conversation, {"model": changed})
        receipt = await desk.send(conversation, "[[tokens=1]]")
        await desk.works.ended(receipt.generation)
        assert (await desk.works.record(receipt.generation)).model == model
    assert len((await desk.conversing.branch(ALICE, conversation, None, None, 50)).items) == 4


async def test_what_belongs_to_another_is_not_there(desk) -> None:
    conversation = await desk.begin()
    for asking in (
        desk.conversing.get(BOB, conversation),
        desk.conversing.branch(BOB, conversation, None, None, 50),
        desk.conversing.send(caller(BOB), conversation, Turn("Hello"), None),
        desk.conversing.send(caller(BOB), conversation, Turn("Hello", model=MODEL), None),
    ):
        with pytest.raises(NotFound):
            await asking
    assert list(desk.works.engine.jobs()) == []


async def test_a_parent_has_to_be_an_answer_of_this_conversation(desk) -> None:
    conversation, other = await desk.begin(), await desk.begin()
    turn = orjson.loads((await desk.send(conversation)).body)
    await desk.works.ended(turn["generation"]["id"])
    with pytest.raises(Invalid, match="follows an answer"):
        await desk.send(conversation, parent=turn["message"]["id"])
    for parent in (turn["generation"]["message"], "msg_nobody"):
        with pytest.raises(NotFound):
            await desk.send(other, parent=parent)


async def test_beginning_again_under_the_same_key_is_the_same_conversation(desk) -> None:
    first = await desk.begin(key="again", title="A")
    assert await desk.begin(key="again", title="A") == first
    assert await desk.begin(title="A") != first


async def test_conversations_are_listed_last_active_first(tmp_path) -> None:
    clock = MovedClock()
    async with working(tmp_path, clock=clock) as works:
        desk = Desk(works)
        conversations = [await desk.begin() for _ in range(3)]
        clock.move(1)
        await works.ended((await desk.send(conversations[0])).generation)
        first = await desk.conversing.page(ALICE, 1, None)
        assert [each.id for each in first.items] == conversations[:1]
        rest = await desk.conversing.page(ALICE, 50, first.next)
        assert [each.id for each in rest.items] == conversations[:0:-1]
