import pytest
from sqlalchemy import func, literal, select

from chatserver.storage.among import among
from chatserver.storage.tables import conversations


async def test_it_finds_those_that_are_named_and_no_others(store) -> None:
    named = [(await store.conversation()).id for _ in range(3)]
    await store.conversation()
    query = select(conversations.c.id).where(among(conversations.c.id, [*named, "conv_none"]))

    assert sorted(row.id for row in await store.database.rows(query)) == sorted(named)


@pytest.mark.parametrize("wanted", [[], ["O'Hara"], ['"', "\\", "[]"], ["null", "é"]])
async def test_any_text_is_a_value_like_another(store, wanted) -> None:
    query = select(func.count()).where(among(literal("é"), wanted))

    assert (await store.database.rows(query))[0][0] == int("é" in wanted)


async def test_for_more_values_it_is_the_same_statement(store) -> None:
    query = select(conversations.c.id).where(among(conversations.c.id, "ids"))
    some = [(await store.conversation()).id for _ in range(2)]

    for ids in (some, some[:1], []):
        assert {row.id for row in await store.database.rows(query, {"ids": ids})} == set(ids)
