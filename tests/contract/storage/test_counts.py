from dataclasses import replace

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


async def test_what_was_counted_for_a_later_prompt_is_kept(store) -> None:
    conversation = await store.conversation()
    accepted = await store.answered(conversation, "Hello?")
    answer, question = await said(store, conversation, accepted.generation.message)
    assert (answer.counted, question.counted) == (None, None)

    counts = {question.id: Counted(2, "v2"), answer.id: Counted(4, "v2"), "msg_gone": Counted(1, "v2")}
    other = await store.turn(conversation, "And now?")
    assert await store.submit(finish(other.generation, "Now.", recounted=counts))
    assert (await said(store, conversation, other.generation.message))[2:] == (
        replace(answer, counted=Counted(4, "v2")),
        replace(question, counted=Counted(2, "v2")),
    )


async def test_every_message_knows_how_deep_in_its_branch_it_is(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation, "One?")
    second = await store.answered(conversation, "Two?")
    other = await store.answered(conversation, "Another two?", parent=first.generation.message)
    beginning = await store.answered(conversation, "Another one?", parent=None)
    for accepted, depths in ((second, [4, 3, 2, 1]), (other, [4, 3, 2, 1]), (beginning, [2, 1])):
        assert [one.depth for one in await said(store, conversation, accepted.generation.message)] == depths
