import sqlite3
from contextlib import closing

from chatserver.generation.principal import Principal
from chatserver.storage.conversations import Conversations
from chatserver.storage.database import Database
from chatserver.storage.messages import Messages
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.words import sought_in
from loadtests.filling import File
from loadtests.history import FEW, Historian, Size, unique_word

SIZE = Size(messages=1_600, conversations=2 * FEW)
OWNER = Principal("default", "user 0")


async def test_a_history_that_is_written_past_the_store_is_as_the_store_would_have_written_it(tmp_path):
    store, told = File(tmp_path / "history.db"), []
    async with store.filling() as filling:
        longest = await Historian(filling, SIZE, 1, told.append).write([OWNER])
    async with Database.open(store.address, DatabaseOptions()) as database:
        conversations = Conversations(database)
        listed = (await conversations.page(OWNER, 50, None)).items
        assert listed[0].id == longest
        assert len(listed) == FEW + 1
        found = await conversations.page(OWNER, 50, None, sought_in(unique_word(listed[5].id)))
        assert [conversation.id for conversation in found.items] == [listed[5].id]
        branch = await Messages(database).branch(OWNER, listed[5].id, None, None, 50)
        assert [message.role for message in branch.items] == ["user", "assistant"] * SIZE.turns
    with closing(sqlite3.connect(store.address)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO search_index (search_index) VALUES ('integrity-check')")
    assert told
