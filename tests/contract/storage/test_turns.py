import asyncio

import pytest

from chatserver.errors import Invalid, ModelChanged, NotFound, TurnInProgress
from chatserver.generation.ids import CONVERSATION, MESSAGE, new_id
from chatserver.generation.states import Lane, Reason, Status
from chatserver.storage.records import Accepted, Chosen
from tests.contract.storage.store import ALICE, BOB, NOW, begin, finish, key, turn


async def test_a_turn_is_a_question_its_answers_place_and_a_generation(store) -> None:
    conversation = await store.conversation()
    command = turn(conversation, "How?", ref="r-1", now_ms=NOW + 5)
    accepted = await store.submit(command)

    question, answer = (await store.messages.branch(ALICE, conversation.id, None, None, 10)).items
    assert accepted.message == question
    assert (question.id, question.role, question.content, question.ref) == (
        command.message_id,
        "user",
        "How?",
        "r-1",
    )
    assert (question.status, question.generation, question.versions) == (
        Status.COMPLETED,
        None,
        (question.id,),
    )
    assert (answer.id, answer.parent, answer.role) == (command.answer_id, question.id, "assistant")
    assert (answer.content, answer.model, answer.status) == ("", "llama", Status.RUNNING)
    assert answer.generation == command.generation_id
    assert accepted.generation == await store.generations.get(ALICE, command.generation_id)
    assert accepted.replayed is None


async def test_with_an_owner_it_runs_at_once_under_the_first_epoch(store) -> None:
    generation = (await store.turn(await store.conversation(), owner="me", claimed=True)).generation
    assert (generation.status, generation.epoch, generation.attempts) == (Status.RUNNING, 1, 1)
    assert (generation.owner, generation.started_at) == ("me", NOW)


async def test_unclaimed_it_waits_at_its_owner(store) -> None:
    generation = (await store.turn(await store.conversation(), claimed=False)).generation
    assert (generation.status, generation.epoch, generation.attempts) == (Status.QUEUED, 0, 0)
    assert (generation.owner, generation.started_at) == ("here", None)
    assert generation.lane is Lane.INTERACTIVE


async def test_each_thing_a_turn_changes_gets_a_number_of_its_own(store) -> None:
    conversation = await store.conversation()
    accepted = await store.turn(conversation, now_ms=NOW + 7)
    _, answer = (await store.messages.branch(ALICE, conversation.id, None, None, 10)).items
    after = await store.conversations.get(ALICE, conversation.id)
    numbers = (accepted.message.change, answer.change, accepted.generation.change, after.own_change)
    assert (conversation.change, *numbers) == (1, 2, 3, 4, 5)
    assert (after.change, after.active_at, after.leaf) == (5, NOW + 7, answer.id)
    assert store.commits == [[(conversation.id, 1)], [(conversation.id, 5)]]


async def test_it_follows_the_current_leaf_unless_it_names_a_parent(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation, "First")
    second = await store.answered(conversation, "Second")
    assert second.message.parent == first.generation.message

    edited = await store.answered(conversation, "Second, edited", parent=first.generation.message)
    assert edited.message.parent == first.generation.message
    assert edited.message.versions == (second.message.id, edited.message.id)

    other = await store.answered(conversation, "First, edited", parent=None)
    assert other.message.parent is None
    assert other.message.versions == (first.message.id, other.message.id)


async def test_a_conversation_of_another_is_not_there(store) -> None:
    conversation = await store.conversation(BOB)
    for missing in (conversation.id, new_id(CONVERSATION)):
        with pytest.raises(NotFound):
            await store.turn(missing)


async def test_a_parent_in_another_conversation_is_not_there(store) -> None:
    elsewhere = await store.answered(await store.conversation())
    conversation = await store.conversation()
    for missing in (elsewhere.generation.message, new_id(MESSAGE)):
        with pytest.raises(NotFound):
            await store.turn(conversation, parent=missing)


async def test_a_question_is_no_parent(store) -> None:
    conversation = await store.conversation()
    accepted = await store.answered(conversation)
    with pytest.raises(Invalid) as refusal:
        await store.turn(conversation, parent=accepted.message.id)
    assert refusal.value.facts == {"field": "parent"}


@pytest.mark.parametrize("owner", ["here", None])
async def test_nothing_follows_an_answer_that_is_still_being_made(store, owner) -> None:
    conversation = await store.conversation()
    accepted = await store.turn(conversation, owner=owner)
    with pytest.raises(TurnInProgress) as refusal:
        await store.turn(conversation)
    assert refusal.value.facts == {"generation": accepted.generation.id}
    assert (await store.conversations.get(ALICE, conversation.id)).change == 5


async def test_an_answer_that_failed_can_be_followed(store) -> None:
    conversation = await store.conversation()
    accepted = await store.turn(conversation)
    failure = finish(accepted.generation, status=Status.FAILED, reason=Reason.UPSTREAM_ERROR)
    assert await store.submit(failure)
    assert (await store.turn(conversation)).message.parent == accepted.generation.message


async def test_of_two_turns_at_once_in_a_conversation_one_is_accepted(store) -> None:
    conversation = await store.conversation()
    one, two = await asyncio.gather(
        store.turn(conversation), store.turn(conversation), return_exceptions=True
    )
    assert isinstance(two, TurnInProgress)
    assert two.facts == {"generation": one.generation.id}


async def test_a_refused_turn_does_not_disturb_those_beside_it(store) -> None:
    conversations = [await store.conversation() for _ in range(3)]
    results = await asyncio.gather(
        store.turn(conversations[0]),
        store.turn(new_id(CONVERSATION)),
        store.turn(conversations[1], parent=new_id(MESSAGE)),
        store.turn(conversations[2]),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Accepted", "NotFound", "NotFound", "Accepted"]
    assert store.groups[-1] == 4
    assert sorted(store.commits[-1]) == [(conversations[0].id, 5), (conversations[2].id, 5)]


async def test_many_branches_at_once_in_one_conversation_get_dense_numbers(store) -> None:
    conversation = await store.conversation()
    await asyncio.gather(*(store.turn(conversation, f"{n}", parent=None) for n in range(20)))
    changes = await store.conversations.changes(ALICE, conversation.id, 1, 1000)
    # The conversation itself is listed once, with the number of its last change.
    assert len(changes) == 61
    assert changes[-1].number == 81
    assert store.groups[-1] == 20


async def test_of_any_number_of_turns_at_once_one_is_taken_and_the_others_told_of_it(store) -> None:
    conversation = await store.conversation()
    accepted: list[Accepted] = []
    for _ in range(5):
        results = await asyncio.gather(
            *(store.turn(conversation, f"Turn {n}") for n in range(40)), return_exceptions=True
        )
        taken = [result for result in results if isinstance(result, Accepted)]
        refused = [result for result in results if isinstance(result, TurnInProgress)]
        assert (len(taken), len(refused)) == (1, 39)
        assert {refusal.facts["generation"] for refusal in refused} == {taken[0].generation.id}
        assert await store.submit(finish(taken[0].generation))
        accepted += taken
    branch = (await store.messages.branch(ALICE, conversation.id, None, None, 50)).items
    assert [each.id for each in branch] == [
        message for each in accepted for message in (each.message.id, each.generation.message)
    ]
    assert [each.parent for each in branch] == [None, *(each.id for each in branch[:-1])]
    # Four changes a turn and two for its end, none lost.
    assert (await store.conversations.get(ALICE, conversation.id)).change == 1 + 5 * 6


@pytest.mark.parametrize("model", ["llama", None])
async def test_what_was_assumed_of_a_conversation_has_to_be_so(store, model) -> None:
    conversation = (await store.submit(begin(model=model))).conversation
    for other in {"llama", "qwen", None} - {model}:
        with pytest.raises(ModelChanged):
            await store.turn(conversation, assumed=Chosen(other))
    assert (await store.messages.branch(ALICE, conversation.id, None, None, 10)).items == ()

    accepted = await store.turn(conversation, assumed=Chosen(model), idempotency=key("k"))
    repeated = await store.turn(conversation, assumed=Chosen("qwen"), idempotency=key("k"))
    assert repeated.generation.id == accepted.generation.id
