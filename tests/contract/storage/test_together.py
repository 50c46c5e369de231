import pytest
from sqlalchemy import BigInteger, Text, bindparam, delete, insert, select, update

from chatserver.errors import ChatserverError
from chatserver.storage.rows import row_of_conversation, row_of_generation
from chatserver.storage.tables import conversations, generations
from tests.contract.storage.store import ALICE, NOW

_RENAME = (
    update(conversations)
    .where(conversations.c.id == bindparam("of_conversation"), conversations.c.change < 10)
    .values(title=bindparam("new_title", type_=Text), change=bindparam("newest", type_=BigInteger))
)
#: What an array would write in another way.
_ODD = ["{a,b}", 'she said "no"', "O'Hara\\", "NULL", "", "é 😀\n", None]


async def _works(store, texts):
    """Give handed-in work with these texts as it was before it was stored."""
    works = [await store.work(request={"messages": [{"content": text}]}) for text in texts]
    await store.database.write(lambda connection: connection.execute(delete(generations)))
    return works


async def test_rows_of_several_tables_are_written_as_they_are(store) -> None:
    made, works = [await store.conversation() for _ in _ODD], await _works(store, _ODD)
    renamed = [
        {"of_conversation": each.id, "new_title": title, "newest": 2**40 + number}
        for number, (each, title) in enumerate(zip(made, _ODD, strict=True))
    ]
    rows = [row_of_generation(each) for each in works]
    await store.database.write(
        lambda connection: connection.write([(_RENAME, renamed), (insert(generations), rows)])
    )

    for number, (before, title) in enumerate(zip(made, _ODD, strict=True)):
        after = await store.conversations.get(ALICE, before.id)
        assert (after.title, after.change, after.created_at) == (title, 2**40 + number, NOW)
    assert [await store.generations.get(ALICE, each.id) for each in works] == works


async def test_only_rows_that_an_update_asks_for_are_changed(store) -> None:
    made = [await store.conversation() for _ in range(2)]
    for title, newest in (("three", 11), ("four", 12)):
        row = {"of_conversation": made[0].id, "new_title": title, "newest": newest}
        await store.database.write(lambda connection, row=row: connection.write([(_RENAME, [row])]))

    titles = [(await store.conversations.get(ALICE, each.id)).title for each in made]
    assert titles == ["three", "A title"]


async def test_one_row_that_is_refused_takes_the_others_with_it(store) -> None:
    begun = await store.conversation()
    new = await store.work()
    twice = [row_of_conversation(begun), row_of_conversation(begun)]
    rename = [{"of_conversation": begun.id, "new_title": "Other", "newest": 5}]
    writes = [(_RENAME, rename), (insert(generations), [row_of_generation(new)])]
    with pytest.raises(ChatserverError):
        await store.database.write(lambda connection: connection.write(writes))
    with pytest.raises(ChatserverError):
        await store.database.write(lambda connection: connection.write([(insert(conversations), twice)]))

    assert (await store.conversations.get(ALICE, begun.id)).title == "A title"


async def test_where_there_is_nothing_to_write_nothing_is(store) -> None:
    await store.database.write(lambda connection: connection.write([]))

    assert await store.database.rows(select(conversations)) == []
