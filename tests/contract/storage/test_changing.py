import asyncio
from dataclasses import replace

import pytest

from chatserver.errors import NotFound, PreconditionFailed
from chatserver.generation.ids import CONVERSATION, MESSAGE, new_id
from chatserver.storage.changing import ChangeConversation
from tests.contract.storage.store import ALICE, BOB, NOW, begin


def change(conversation, expected=None, **changes) -> ChangeConversation:
    return ChangeConversation(ALICE, conversation.id, changes, expected)


async def test_what_is_named_changes_and_the_rest_stays(store) -> None:
    conversation = (await store.submit(begin(title=None, model="llama", system="Be short."))).conversation
    changed = await store.submit(change(conversation, title="Trips", system=None))
    assert changed == replace(
        conversation, title="Trips", title_by_hand=True, system=None, change=2, own_change=2
    )
    assert await store.conversations.get(ALICE, conversation.id) == changed
    assert store.commits[-1] == [(conversation.id, 2)]


async def test_a_change_does_not_make_it_active(store) -> None:
    conversation = await store.conversation(now_ms=NOW - 1)
    await store.conversation(now_ms=NOW)
    await store.submit(change(conversation, title="Other"))
    page = await store.conversations.page(ALICE, 2, None)
    assert page.items[1].id == conversation.id


async def test_what_changes_nothing_gets_no_number(store) -> None:
    conversation = await store.conversation()
    for same in ({}, {"title": conversation.title}, {"model": None, "system": None}):
        assert await store.submit(change(conversation, **same)) == conversation
    assert store.commits[-1] == []


async def test_a_title_by_hand_is_known_as_one_until_it_is_taken_away(store) -> None:
    conversation = (await store.submit(begin(title=None))).conversation
    mine = await store.submit(change(conversation, title="Mine"))
    nobodys = await store.submit(change(conversation, title=None))
    begun = (await store.submit(begin(title="From the start"))).conversation
    by_hand = [each.title_by_hand for each in (conversation, mine, nobodys, begun)]
    assert by_hand == [False, True, False, True]


async def test_a_leaf_stands_for_the_newest_message_below_it(store) -> None:
    conversation = await store.conversation()
    first = await store.answered(conversation, "First")
    second = await store.answered(conversation, "Second")
    other = await store.answered(conversation, "Other", parent=None)
    for named, leaf in (
        (first.message.id, second.generation.message),
        (other.message.id, other.generation.message),
        (first.generation.message, second.generation.message),
        (other.generation.message, other.generation.message),
    ):
        assert (await store.submit(change(conversation, leaf=named))).leaf == leaf
    next_one = await store.turn(conversation)
    assert next_one.message.parent == other.generation.message


async def test_a_leaf_of_another_conversation_is_not_there(store) -> None:
    elsewhere = await store.answered(await store.conversation())
    conversation = await store.conversation()
    await store.answered(conversation)
    before = await store.conversations.get(ALICE, conversation.id)
    for missing in (elsewhere.message.id, new_id(MESSAGE)):
        with pytest.raises(NotFound, match="no such message"):
            await store.submit(change(conversation, leaf=missing, title="Not set"))
    assert await store.conversations.get(ALICE, conversation.id) == before


async def test_a_conversation_of_another_is_not_there(store) -> None:
    nobodys = replace(await store.conversation(), id=new_id(CONVERSATION))
    for missing in (await store.conversation(BOB), nobodys):
        with pytest.raises(NotFound):
            await store.submit(change(missing, title="Mine"))


async def test_a_change_meant_for_an_older_version_is_refused_and_names_the_newer(store) -> None:
    conversation = await store.conversation()
    changed = await store.submit(change(conversation, expected=1, title="One"))
    with pytest.raises(PreconditionFailed) as refusal:
        await store.submit(change(conversation, expected=1, title="Two"))
    assert refusal.value.facts == {"change": changed.change}


async def test_changes_at_once_see_those_before_them(store) -> None:
    conversation = await store.conversation()
    titles = [f"Title {n}" for n in range(5)]
    await asyncio.gather(*(store.submit(change(conversation, title=title)) for title in titles))
    results = await asyncio.gather(
        *(store.submit(change(conversation, expected=6, title=title)) for title in titles[:2]),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Conversation", "PreconditionFailed"]
    after = await store.conversations.get(ALICE, conversation.id)
    assert (after.title, after.change, after.own_change) == ("Title 0", 7, 7)
