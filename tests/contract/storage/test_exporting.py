import pytest

from chatserver.errors import NotFound
from chatserver.storage.deleting import DeleteConversation
from chatserver.storage.lifecycle import Cancel
from tests.contract.storage.store import ALICE, BOB, NOW, Store, again, finish


async def whole(store: Store, conversation: str, limit: int):
    """All messages, and how many came at once."""
    messages, sizes, after = [], [], 0
    while after is not None:
        section = await store.exports.section(ALICE, conversation, after, limit)
        messages += section.messages
        sizes.append(len(section.messages))
        after = section.next
    return messages, sizes


@pytest.mark.parametrize("limit", [1, 3, 4, 6, 50])
async def test_each_message_of_each_branch_is_there_once_below_its_parent(store, limit) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation, "1")
    await store.answered(conversation, "2")
    await store.answered(conversation, "2, edited", parent=first.generation.message)
    beside = await store.submit(again(conversation, first.generation.message))
    await store.submit(finish(beside.generation, "Another answer"))
    await store.answered(await store.conversation(), "Elsewhere")
    messages, sizes = await whole(store, conversation.id, limit)
    assert [message.content for message in messages] == [
        "1",
        "Answer to 1",
        "2",
        "Answer to 2",
        "2, edited",
        "Answer to 2, edited",
        "Another answer",
    ]
    assert max(sizes) <= limit
    seen = {None}
    for message in messages:
        assert message.parent in seen
        seen.add(message.id)


async def test_an_answer_that_ends_between_two_sections_is_there_once_and_whole(store) -> None:
    conversation = await store.conversation()
    early = await store.turn(conversation, "1")
    late = await store.turn(conversation, "2", parent=None)
    section = await store.exports.section(ALICE, conversation.id, 0, 1)
    assert [message.content for message in section.messages] == ["1"]
    await store.submit(finish(early.generation, "At last"))
    section = await store.exports.section(ALICE, conversation.id, section.next, 50)
    assert [(message.content, message.status) for message in section.messages] == [
        ("2", "completed"),
        ("At last", "completed"),
        ("", "running"),
    ]
    assert section.messages[-1].id == late.generation.message
    assert section.next is None


async def test_as_many_answers_in_the_making_as_a_section_holds_do_not_hide_the_end(store) -> None:
    conversation = await store.conversation()
    for number in range(4):
        await store.turn(conversation, str(number), parent=None)
    messages, sizes = await whole(store, conversation.id, 3)
    assert sizes == [3, 5]
    assert [message.content for message in messages] == ["0", "1", "2", "3", "", "", "", ""]


async def test_what_was_cancelled_or_never_answered_is_there_too(store) -> None:
    conversation = await store.conversation()
    accepted = await store.turn(conversation, "1", claimed=False)
    await store.submit(Cancel(accepted.generation.id, ALICE, NOW))
    messages, _ = await whole(store, conversation.id, 9)
    assert [(message.role, message.content) for message in messages] == [("user", "1"), ("assistant", "")]


async def test_an_empty_conversation_is_an_empty_section(store) -> None:
    assert await whole(store, (await store.conversation()).id, 5) == ([], [0])


async def test_what_is_deleted_between_two_sections_does_not_seem_to_end_there(store) -> None:
    conversation = await store.conversation()
    await store.answered(conversation, "1")
    await store.answered(conversation, "2")
    section = await store.exports.section(ALICE, conversation.id, 0, 2)
    await store.submit(DeleteConversation(ALICE, conversation.id))
    with pytest.raises(NotFound):
        await store.exports.section(ALICE, conversation.id, section.next, 2)


async def test_what_belongs_to_another_is_not_there(store) -> None:
    conversation = await store.conversation()
    with pytest.raises(NotFound):
        await store.exports.section(BOB, conversation.id, 0, 5)


async def test_messages_are_known_again_by_their_first_characters(store) -> None:
    conversation = await store.conversation()
    one = await store.answered(conversation, "\N{SNOWMAN}\N{GRINNING FACE} is outside")
    found = await store.exports.openings([one.message.id, "msg_missing"], 4)
    assert found == {one.message.id: "\N{SNOWMAN}\N{GRINNING FACE} i"}
