from dataclasses import replace

from chatserver.storage.counts import KeepCounts
from chatserver.storage.records import Counted
from tests.contract.storage.store import finish, turn


async def said(store, conversation, message):
    return (await store.messages.transcript(conversation.id, message, 50)).said


async def test_what_was_counted_when_it_was_written_needs_no_counting(store) -> None:
    conversation = await store.conversation()
    accepted = await store.submit(turn(conversation, "Hello?", counted=Counted(2, "v1")))
    answer = accepted.generation.message
    assert await store.submit(finish(accepted.generation, "Hi.", counted=Counted(3, "v1")))
    assert [one.counted for one in await said(store, conversation, answer)] == [
        Counted(3, "v1"),
        Counted(2, "v1"),
    ]


async def test_what_was_counted_later_is_kept_and_nobody_is_told_of_it(store) -> None:
    conversation = await store.conversation()
    accepted = await store.answered(conversation, "Hello?")
    before, told = await store.conversations.get(conversation.principal, conversation.id), len(store.commits)
    answer, question = await said(store, conversation, accepted.generation.message)
    assert (answer.counted, question.counted) == (None, None)

    await store.submit(KeepCounts("v2", {question.id: 2, answer.id: 4, "msg_gone": 1}))
    assert await said(store, conversation, answer.id) == (
        replace(answer, counted=Counted(4, "v2")),
        replace(question, counted=Counted(2, "v2")),
    )
    assert await store.conversations.get(conversation.principal, conversation.id) == before
    assert store.commits[told:] in ([], [[]])


async def test_every_message_knows_how_deep_in_its_branch_it_is(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation, "One?")
    second = await store.answered(conversation, "Two?")
    other = await store.answered(conversation, "Another two?", parent=first.generation.message)
    beginning = await store.answered(conversation, "Another one?", parent=None)
    for accepted, depths in ((second, [4, 3, 2, 1]), (other, [4, 3, 2, 1]), (beginning, [2, 1])):
        assert [one.depth for one in await said(store, conversation, accepted.generation.message)] == depths
