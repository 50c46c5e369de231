import asyncio
from dataclasses import replace

import pytest

from chatserver.errors import Invalid, NotFound
from chatserver.generation.ids import CONVERSATION, new_id
from chatserver.generation.states import Status
from tests.contract.storage.store import ALICE, BOB, NOW, begin, finish


async def test_a_new_conversation_is_empty_and_at_its_first_change(store) -> None:
    command = begin(title="Trip", model="llama", system="Be brief.")
    created = await store.submit(command)
    conversation = await store.conversations.get(ALICE, command.id)
    assert created.conversation == conversation
    assert (conversation.title, conversation.model, conversation.system) == ("Trip", "llama", "Be brief.")
    assert (conversation.leaf, conversation.change, conversation.own_change) == (None, 1, 1)
    assert (conversation.created_at, conversation.active_at) == (NOW, NOW)


async def test_another_ones_conversation_is_not_there(store) -> None:
    conversation = await store.conversation(BOB)
    for missing in (conversation.id, new_id(CONVERSATION)):
        with pytest.raises(NotFound):
            await store.conversations.get(ALICE, missing)
        with pytest.raises(NotFound):
            await store.conversations.changes(ALICE, missing, 0, 10)


async def test_pages_show_the_last_active_first_and_each_once(store) -> None:
    # Three of them were active in the same millisecond.
    times = [NOW, NOW + 2, NOW + 2, NOW + 2, NOW + 1]
    made = [await store.conversation(now_ms=time) for time in times]
    await store.conversation(BOB)
    await store.turn(made[0], now_ms=NOW + 3)

    first = await store.conversations.page(ALICE, 2, None)
    second = await store.conversations.page(ALICE, 2, first.next)
    third = await store.conversations.page(ALICE, 2, second.next)
    seen = [conversation.id for page in (first, second, third) for conversation in page.items]
    assert seen == [made[n].id for n in (0, 3, 2, 1, 4)]
    assert third.next is None


async def test_a_page_that_is_just_full_has_none_after_it(store) -> None:
    for _ in range(2):
        await store.conversation()
    assert (await store.conversations.page(ALICE, 2, None)).next is None
    assert (await store.conversations.page(BOB, 2, None)).items == ()


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "12", "1.conv_x", "-1." + new_id(CONVERSATION), "٣." + new_id(CONVERSATION), "1.2.3"],
)
async def test_a_cursor_that_was_not_given_out_is_refused(store, cursor) -> None:
    with pytest.raises(Invalid) as refusal:
        await store.conversations.page(ALICE, 2, cursor)
    assert refusal.value.facts == {"field": "cursor"}


async def test_each_thing_that_changed_comes_once_as_it_is_now(store) -> None:
    conversation = await store.conversation()
    accepted = await store.turn(conversation)
    await store.submit(finish(accepted.generation, "All of it."))

    changes = await store.conversations.changes(ALICE, conversation.id, 1, 10)
    assert [(change.kind, change.number) for change in changes] == [
        ("message", 2),
        ("conversation", 5),
        ("message", 6),
        ("generation", 7),
    ]
    question, whole, answer, generation = (change.item for change in changes)
    assert question == accepted.message
    assert whole == await store.conversations.get(ALICE, conversation.id)
    assert (answer.content, answer.status) == ("All of it.", Status.COMPLETED)
    # Its request may be large, and nobody who watches is shown it.
    assert generation == replace(await store.generations.get(ALICE, accepted.generation.id), request={})


async def test_changes_come_in_portions_without_a_gap(store) -> None:
    conversation = await store.conversation()
    for _ in range(3):
        await store.answered(conversation)
    whole = await store.conversations.changes(ALICE, conversation.id, 0, 100)
    portions, after = [], 0
    while portion := await store.conversations.changes(ALICE, conversation.id, after, 3):
        portions += portion
        after = portion[-1].number
    assert portions == whole
    assert after == (await store.conversations.get(ALICE, conversation.id)).change


async def test_nothing_has_changed_after_the_newest_number(store) -> None:
    conversation = await store.conversation()
    assert await store.conversations.changes(ALICE, conversation.id, 1, 10) == []
    assert await store.conversations.changes(ALICE, conversation.id, 99, 10) == []


async def test_what_readers_get_is_of_one_moment(store) -> None:
    """A number is never told before the things that carry it."""
    conversation = await store.conversation()

    async def write() -> None:
        for n in range(30):
            await store.turn(conversation, f"{n}", parent=None)

    async def read() -> None:
        while not writing.done():
            changes = await store.conversations.changes(ALICE, conversation.id, 0, 1000)
            by_kind = [change for change in changes if change.kind == "conversation"]
            assert max(change.number for change in changes) == by_kind[0].item.change

    writing = asyncio.ensure_future(write())
    await asyncio.gather(read(), writing)


async def test_conversations_that_are_asked_for_together_are_each_only_their_owners(store) -> None:
    own, other = await store.conversation(), await store.conversation(BOB)
    get = store.conversations.get
    found = await asyncio.gather(
        get(ALICE, own.id),
        get(ALICE, other.id),
        get(BOB, other.id),
        get(ALICE, "conv_none"),
        return_exceptions=True,
    )

    assert [getattr(each, "id", type(each)) for each in found] == [own.id, NotFound, other.id, NotFound]
