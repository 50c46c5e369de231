import asyncio
from dataclasses import replace

import pytest

from chatserver.errors import Invalid, NotFound, TurnInProgress
from chatserver.generation.ids import CONVERSATION, GENERATION, MESSAGE, new_id
from chatserver.generation.states import Reason, Status
from tests.contract.storage.store import ALICE, BOB, NOW, again, finish, key, reply, turn


async def test_another_answer_stands_beside_the_first_and_becomes_the_leaf(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation)
    before = await store.conversations.get(ALICE, conversation.id)
    accepted = await store.submit(again(conversation, first.generation.message))

    generation = accepted.generation
    assert accepted.message is None
    assert generation == await store.generations.get(ALICE, generation.id)
    assert (generation.status, generation.request, generation.retry_of) == (
        Status.RUNNING,
        {"options": {"seed": 1}},
        None,
    )
    question, answer = (await store.messages.branch(ALICE, conversation.id, None, None, 10)).items
    assert (question.id, answer.id) == (first.message.id, generation.message)
    assert answer.versions == (first.generation.message, generation.message)
    after = await store.conversations.get(ALICE, conversation.id)
    assert (after.leaf, after.active_at) == (answer.id, NOW + 9)
    # The answer, its generation and the conversation.
    assert (answer.change, generation.change, after.own_change) == tuple(before.change + n for n in (1, 2, 3))


async def test_the_next_turn_follows_it_as_deep_as_it_would_the_first(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation)
    second = (await store.submit(again(conversation, first.generation.message))).generation
    await store.submit(finish(second))
    following = await store.answered(conversation, "Next")
    assert following.message.parent == second.message
    branch = await store.messages.transcript(conversation.id, following.generation.message, 9)
    depths = [said.depth for said in branch.said]
    assert depths == [4, 3, 2, 1]


async def test_an_answer_with_others_below_it_can_be_made_anew(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation, "First")
    await store.answered(conversation, "Second")
    accepted = await store.submit(again(conversation, first.generation.message))
    assert (await store.conversations.get(ALICE, conversation.id)).leaf == accepted.generation.message


@pytest.mark.parametrize("owner", ["here", None])
async def test_none_is_made_beside_one_that_is_being_made(store, owner) -> None:
    conversation = await store.conversation()
    first = await store.turn(conversation, owner=owner)
    with pytest.raises(TurnInProgress) as refusal:
        await store.submit(again(conversation, first.generation.message))
    assert refusal.value.facts == {"generation": first.generation.id}


async def test_the_first_is_not_made_anew_while_the_second_is_made(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation)
    second = (await store.submit(again(conversation, first.generation.message))).generation
    for beside in (first.generation.message, second.message):
        with pytest.raises(TurnInProgress) as refusal:
            await store.submit(again(conversation, beside))
        assert refusal.value.facts == {"generation": second.id}


async def test_of_two_at_once_one_is_accepted(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation)
    one, two = await asyncio.gather(
        *(store.submit(again(conversation, first.generation.message)) for _ in range(2)),
        return_exceptions=True,
    )
    assert isinstance(two, TurnInProgress)
    assert two.facts == {"generation": one.generation.id}


async def test_the_same_key_is_the_same_answer(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation)
    command = again(conversation, first.generation.message, idempotency=key("again"))
    accepted = await store.submit(command)
    other_ids = {"generation_id": new_id(GENERATION), "answer_id": new_id(MESSAGE)}
    repeated = await store.submit(replace(command, **other_ids))
    assert repeated.replayed == reply(accepted)
    assert repeated.generation == accepted.generation


async def test_a_question_can_not_be_answered_anew_by_its_own_name(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation)
    with pytest.raises(Invalid) as refusal:
        await store.submit(again(conversation, first.message.id))
    assert refusal.value.facts == {"field": "message"}


async def test_what_belongs_to_another_or_to_another_conversation_is_not_there(store) -> None:
    conversation, other = await store.conversation(), await store.conversation()
    foreign = await store.conversation(BOB)
    answer = (await store.answered(conversation)).generation.message
    theirs = (await store.submit(turn(foreign, principal=BOB))).generation.message
    nobodys = replace(conversation, id=new_id(CONVERSATION))
    for missing in (
        again(other, answer),
        again(foreign, theirs),
        again(nobodys, answer),
        again(conversation, new_id(MESSAGE)),
    ):
        with pytest.raises(NotFound):
            await store.submit(missing)


async def test_one_that_failed_is_named_by_what_makes_good_for_it(store) -> None:
    conversation = await store.conversation()
    failed = (await store.turn(conversation)).generation
    await store.submit(finish(failed, status=Status.FAILED, reason=Reason.UPSTREAM_ERROR))
    accepted = await store.submit(again(conversation, failed.message, retry_of=failed.id))
    assert (await store.generations.get(ALICE, accepted.generation.id)).retry_of == failed.id
