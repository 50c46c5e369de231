import pytest
from sqlalchemy import func, select

from chatserver.generation.principal import Principal
from chatserver.generation.states import Reason, Status
from chatserver.storage.changing import ChangeConversation
from chatserver.storage.deleting import DeleteConversation
from chatserver.storage.entries import _COMPARED
from chatserver.storage.tables import search_entries
from chatserver.storage.titles import GiveTitle
from chatserver.storage.words import sought_in
from tests.contract.storage.store import ALICE, BOB, NOW, Store, begin, finish, turn


async def found(store: Store, search: str, principal: Principal = ALICE) -> list[str]:
    page = await store.conversations.page(principal, 50, None, sought_in(search))
    return [conversation.id for conversation in page.items]


async def entries(store: Store, conversation: str) -> list[tuple[int, int]]:
    """The number and the words of each entry."""
    query = select(search_entries).where(search_entries.c.conversation == conversation)
    rows = await store.database.rows(query.order_by(search_entries.c.id))
    return [(row.number, len(row.words.split())) for row in rows]


async def test_a_conversation_is_found_by_its_title_its_questions_and_its_answers(store) -> None:
    conversation = (await store.submit(begin(title="Rivers of Europe"))).conversation
    accepted = await store.turn(conversation, "Which is the longest?")
    assert await found(store, "rivers") == await found(store, "longest") == [conversation.id]
    assert await found(store, "volga") == []
    await store.submit(finish(accepted.generation, "The Volga, with 3,530 km."))
    assert await found(store, "volga") == await found(store, "530") == [conversation.id]


async def test_it_is_found_by_the_title_that_a_model_made_and_no_more_by_the_one_before(store) -> None:
    conversation = (await store.submit(begin(title=None))).conversation
    await store.submit(GiveTitle(conversation.id, "Streams"))
    await store.submit(GiveTitle(conversation.id, "Rivers"))
    assert (await found(store, "streams"), await found(store, "rivers")) == ([], [conversation.id])


async def test_all_words_have_to_stand_somewhere_in_it(store) -> None:
    conversation = (await store.submit(begin(title="Rivers"))).conversation
    await store.answered(conversation, "Which is the longest?")
    assert await found(store, "rivers longest") == [conversation.id]
    assert await found(store, "rivers shortest") == []


async def test_of_the_last_word_the_beginning_is_enough(store) -> None:
    conversation = (await store.submit(begin(title="Crème brûlée"))).conversation
    for search in ("creme bru", "CRÈME BRÛLÉE", "brulee", "creme"):
        assert await found(store, search) == [conversation.id]
    for search in ("cre brulee", "brulees", "rulee"):
        assert await found(store, search) == []


async def test_only_ones_own_are_found(store) -> None:
    await store.submit(begin(title="Secret", principal=BOB))
    assert await found(store, "secret") == []
    assert len(await found(store, "secret", BOB)) == 1


async def test_who_shares_a_key_with_another_finds_only_their_own(store, monkeypatch) -> None:
    monkeypatch.setattr("chatserver.storage.entries.key_of", lambda _: "shared")
    monkeypatch.setattr("chatserver.storage.conversations.key_of", lambda _: "shared")
    await store.submit(begin(title="Secret", principal=BOB))
    assert await found(store, "secret") == []
    assert len(await found(store, "secret", BOB)) == 1


async def test_another_title_takes_the_place_of_the_first(store) -> None:
    conversation = (await store.submit(begin(title="Rivers"))).conversation
    await store.answered(conversation, "About rivers?")
    other = (await store.submit(begin(title="Rivers"))).conversation
    for changed in (conversation, other):
        await store.submit(ChangeConversation(ALICE, changed.id, {"title": "Lakes"}))
    assert set(await found(store, "lakes")) == {conversation.id, other.id}
    # What was said stays said.
    assert await found(store, "rivers") == [conversation.id]
    await store.submit(ChangeConversation(ALICE, other.id, {"title": None}))
    assert await found(store, "lakes") == [conversation.id]


async def test_what_was_deleted_leaves_nothing_to_find(store) -> None:
    conversation = (await store.submit(begin(title="Rivers"))).conversation
    await store.answered(conversation, "Which is the longest?")
    kept = (await store.submit(begin(title="Rivers too"))).conversation
    await store.submit(DeleteConversation(ALICE, conversation.id))
    assert await found(store, "rivers") == [kept.id]
    assert await found(store, "longest") == []
    left = await store.database.rows(select(func.count()).select_from(search_entries))
    assert left[0][0] == 1


async def test_an_answer_that_broke_off_is_found_by_what_there_is_of_it(store) -> None:
    accepted = await store.turn(await store.conversation())
    reason = {"status": Status.FAILED, "reason": Reason.UPSTREAM_TRUNCATED}
    broken = finish(accepted.generation, "Half an answ", **reason)
    await store.submit(broken)
    assert len(await found(store, "half answ")) == 1


async def test_pages_are_last_active_first_and_lead_on(store) -> None:
    made = [await store.conversation(now_ms=NOW + n) for n in range(5)]
    await store.submit(begin(title="Other"))
    ids, cursor = [], None
    while cursor is not None or not ids:
        page = await store.conversations.page(ALICE, 2, cursor, sought_in("title"))
        ids += [conversation.id for conversation in page.items]
        cursor = page.next
    assert ids == [conversation.id for conversation in reversed(made)]


async def test_a_word_is_entered_once_for_a_conversation_however_often_it_is_said(store) -> None:
    conversation = (await store.submit(begin(title=None))).conversation
    await store.answered(conversation, "one two three")
    assert await entries(store, conversation.id) == [(1, 3), (2, 2)]
    await store.answered(conversation, "three two one four")
    # "Answer to" was said before, too.
    assert await entries(store, conversation.id) == [(1, 3), (2, 2), (3, 1)]
    await store.answered(conversation, "one")
    assert len(await entries(store, conversation.id)) == 3


async def test_only_so_many_entries_are_compared_with(store) -> None:
    conversation = (await store.submit(begin(title=None))).conversation
    commands = [turn(conversation, f"common word{n}", parent=None) for n in range(_COMPARED + 3)]
    for command in commands:
        await store.submit(command)
    numbers = [number for number, _ in await entries(store, conversation.id)]
    assert numbers == [*range(1, _COMPARED + 1), *[_COMPARED + 1] * 3]
    # "common" is known from the first one, word32 is not: it came too late.
    await store.turn(conversation, f"common word{_COMPARED}", parent=None)
    assert (await entries(store, conversation.id))[-1] == (_COMPARED + 1, 1)
    assert await found(store, f"common word{_COMPARED + 1}") == [conversation.id]


_SYNTAX = "\" ' a|OR|b x* NEAR(a -a a:b {a} ^a a&b !c <-> \\ :* a''b % e\u0301"


@pytest.mark.parametrize("search", _SYNTAX.split())
async def test_no_search_is_anything_but_words(store, search) -> None:
    conversation = (await store.submit(begin(title=search))).conversation
    sought = sought_in(search)
    if sought:
        assert conversation.id in await found(store, search)
