import asyncio

import pytest

from chatserver.errors import NotFound
from chatserver.generation.ids import CONVERSATION, MESSAGE, new_id
from tests.contract.storage.store import ALICE, BOB


async def texts(store, conversation, leaf=None, before=None, limit=50) -> tuple[list[str], str | None]:
    page = await store.messages.branch(ALICE, conversation.id, leaf, before, limit)
    return [message.content for message in page.items], page.next


async def test_a_conversation_without_messages_is_an_empty_page(store) -> None:
    assert await texts(store, await store.conversation()) == ([], None)


async def test_the_newest_page_comes_first_and_each_is_ascending(store) -> None:
    conversation = await store.conversation()
    for content in ("1", "2", "3"):
        await store.answered(conversation, content)
    newest, before = await texts(store, conversation, limit=4)
    assert newest == ["2", "Answer to 2", "3", "Answer to 3"]
    assert await texts(store, conversation, before=before, limit=4) == (["1", "Answer to 1"], None)
    assert await texts(store, conversation, before=before, limit=2) == (["1", "Answer to 1"], None)


async def test_another_branch_is_read_by_any_message_of_it(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation, "1")
    old = await store.answered(conversation, "2")
    await store.answered(conversation, "2, edited", parent=first.generation.message)

    root = ["1", "Answer to 1"]
    assert await texts(store, conversation) == ([*root, "2, edited", "Answer to 2, edited"], None)
    for leaf in (old.message.id, old.generation.message):
        assert await texts(store, conversation, leaf) == ([*root, "2", "Answer to 2"], None)


async def test_a_branch_goes_on_to_the_newest_message_below(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation, "1")
    early = await store.answered(conversation, "2")
    await store.answered(conversation, "2, edited", parent=first.generation.message)
    # The older branch is taken up again, so the newest message is there.
    await store.answered(conversation, "3", parent=early.generation.message)
    await store.answered(conversation, "1, edited", parent=None)

    whole = ["1", "Answer to 1", "2", "Answer to 2", "3", "Answer to 3"]
    for leaf in (first.message.id, first.generation.message, early.message.id):
        assert await texts(store, conversation, leaf) == (whole, None)


async def test_a_message_tells_which_stand_beside_it(store) -> None:
    conversation = await store.conversation()
    accepted = [await store.answered(conversation, f"{n}", parent=None) for n in range(3)]
    questions = tuple(each.message.id for each in accepted)
    for each in accepted:
        question, answer = (
            await store.messages.branch(ALICE, conversation.id, each.message.id, None, 9)
        ).items
        assert question.versions == questions
        assert answer.versions == (each.generation.message,)


async def test_roots_of_other_conversations_are_not_beside_it(store) -> None:
    await store.answered(await store.conversation())
    accepted = await store.answered(await store.conversation())
    assert accepted.message.versions == (accepted.message.id,)


async def test_what_is_elsewhere_is_not_there(store) -> None:
    conversation = await store.conversation()
    elsewhere = await store.answered(await store.conversation())
    for missing in (elsewhere.message.id, new_id(MESSAGE)):
        with pytest.raises(NotFound):
            await texts(store, conversation, leaf=missing)
        with pytest.raises(NotFound):
            await texts(store, conversation, before=missing)
    for missing in ((await store.conversation(BOB)).id, new_id(CONVERSATION)):
        with pytest.raises(NotFound):
            await store.messages.branch(ALICE, missing, None, None, 10)


async def test_a_transcript_goes_upwards_from_a_message(store) -> None:
    conversation = await store.conversation()
    await store.answered(conversation, "1")
    accepted = await store.answered(conversation, "2")
    await store.answered(conversation, "3")
    start = accepted.generation.message
    read = await store.messages.transcript(conversation.id, start, 3)
    assert [said.content for said in read.said] == ["Answer to 2", "2", "Answer to 1"]
    assert [said.role for said in read.said] == ["assistant", "user", "assistant"]
    assert len((await store.messages.transcript(conversation.id, start, 50)).said) == 4
    assert (await store.messages.transcript((await store.conversation()).id, start, 50)).said == ()


async def test_transcripts_that_are_asked_for_together_are_each_as_if_alone(store) -> None:
    first, second = await store.conversation(), await store.conversation()
    await store.answered(first, "1")
    leaf = (await store.answered(first, "2")).generation.message
    other = (await store.answered(second, "3")).generation.message
    asked = [(first.id, leaf, 3), (first.id, leaf, 1), (second.id, other, 50), (second.id, leaf, 50)]

    together = await asyncio.gather(*(store.messages.transcript(*each) for each in asked))

    assert together == [await store.messages.transcript(*each) for each in asked]
    assert [len(read.said) for read in together] == [3, 1, 2, 0]
