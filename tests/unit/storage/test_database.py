import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from chatserver.errors import ChatserverError, StartRefused, StoreUnavailable
from chatserver.generation.ids import MESSAGE, new_id
from chatserver.generation.pieces import Channel
from chatserver.storage import sqlite
from chatserver.storage.checkpoints import Checkpoint, Part
from chatserver.storage.database import Database, DatabaseOptions
from chatserver.storage.tables import messages
from tests.unit.storage.store import ALICE, NOW, begin, key, opened, turn


async def lengthen(store, generation) -> None:
    """Put 1,100 messages below an answer: deeper than SQLite lets cascades recurse."""
    chain = [generation.message, *(new_id(MESSAGE) for _ in range(1_100))]
    rows = [
        {
            "id": message,
            "conversation": generation.conversation,
            "parent": parent,
            "role": "assistant",
            "content": "",
            "change": 0,
            "created_at": NOW,
        }
        for parent, message in pairwise(chain)
    ]
    await store.database.write(lambda connection: connection.execute(insert(messages), rows))


async def test_a_new_file_is_made_and_survives(tmp_path) -> None:
    async with opened(tmp_path / "chat.db") as store:
        conversation = await store.conversation()
    async with opened(tmp_path / "chat.db") as store:
        assert await store.conversations.get(ALICE, conversation.id) == conversation


async def test_an_address_names_a_file_too(tmp_path) -> None:
    async with opened(f"sqlite:///{tmp_path}/chat.db") as store:
        await store.conversation()
    assert (tmp_path / "chat.db").exists()


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "mysql://here/chat", "nonsense"])
async def test_other_addresses_are_refused_in_a_sentence(address) -> None:
    with pytest.raises(StartRefused, match=r"store\.database_url is.*sqlite:///chat\.db\."):
        async with Database.open(address, DatabaseOptions()):
            pass


@asynccontextmanager
async def reader_held(database: Database) -> AsyncIterator[None]:
    """Keep one of the threads that read busy."""
    begun, go = threading.Event(), threading.Event()

    async def hold(_connection: object) -> None:
        begun.set()
        assert go.wait(5)

    holding = asyncio.create_task(database.read(hold))
    assert await asyncio.to_thread(begun.wait, 5)
    try:
        yield
    finally:
        go.set()
        await asyncio.gather(holding, return_exceptions=True)


async def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path) -> None:
    (tmp_path / "chat.db").write_text("This is a letter, and not short enough to be taken for nothing." * 100)
    with pytest.raises(StartRefused, match=r"chat\.db can't be opened: file is not a database\."):
        async with opened(tmp_path / "chat.db"):
            pass


async def test_writes_are_on_disk_before_they_answer_and_readers_do_not_wait(store) -> None:
    found = {}
    for pragma in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only"):
        found[pragma] = await store.database.read(
            lambda connection, pragma=pragma: connection.scalar(text(f"PRAGMA {pragma}"))
        )
        found["write", pragma] = await store.database.write(
            lambda connection, pragma=pragma: connection.scalar(text(f"PRAGMA {pragma}"))
        )
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "query_only": 1,
        ("write", "journal_mode"): "wal",
        ("write", "synchronous"): 2,
        ("write", "foreign_keys"): 1,
        ("write", "busy_timeout"): 5000,
        ("write", "query_only"): 0,
    }


async def test_a_read_waits_for_a_connection_only_so_long(database_file) -> None:
    async with opened(database_file, DatabaseOptions(readers=1, read_wait_s=0.02)) as store:
        async with reader_held(store.database):
            with pytest.raises(StoreUnavailable, match="can't be read"):
                await store.conversations.page(ALICE, 10, None)
        assert (await store.conversations.page(ALICE, 10, None)).items == ()


async def test_a_reader_that_goes_away_leaves_its_connection_behind(database_file) -> None:
    async with opened(database_file, DatabaseOptions(readers=1, read_wait_s=1)) as store:
        for steps in range(12):
            reading = asyncio.create_task(store.conversations.page(ALICE, 10, None))
            for _ in range(steps):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert (await store.conversations.page(ALICE, 10, None)).items == ()


async def test_a_read_sees_one_moment(store) -> None:
    count = text("SELECT count(*) FROM conversations")
    begun, go = threading.Event(), threading.Event()

    async def count_twice(connection) -> tuple[int, int]:
        first = await connection.scalar(count)
        begun.set()
        assert go.wait(5)
        return first, await connection.scalar(count)

    reading = asyncio.create_task(store.database.read(count_twice))
    assert await asyncio.to_thread(begun.wait, 5)
    await store.conversation()
    go.set()
    assert await reading == (0, 0)
    assert await store.database.read(lambda connection: connection.scalar(count)) == 1


async def test_readers_can_not_write(store) -> None:
    with pytest.raises(StoreUnavailable):
        await store.database.read(lambda connection: connection.execute(text("DELETE FROM conversations")))


@asynccontextmanager
async def glancing(store, path: Path) -> AsyncIterator[Database]:
    """A database whose glances take a lock that others may hold, which those of the product don't."""
    glances = sqlite.FileHere(path, partial(sqlite.prepare_writer, lock_wait_s=0))
    try:
        yield Database(store.database._readers, store.database._writer, glances, 5)
    finally:
        glances.close()


async def thread_of(_connection: object) -> int:
    return threading.get_ident()


async def test_a_glance_waits_for_no_lock_and_is_a_read_in_a_thread_then(store, database_file) -> None:
    here = threading.get_ident()
    async with glancing(store, database_file) as database:
        with closing(sqlite3.connect(database_file)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await database.glance(thread_of) != here
        assert await database.glance(thread_of) == here


async def test_glances_of_the_product_wait_for_no_lock_at_all(store) -> None:
    wait = await store.database.glance(lambda connection: connection.scalar(text("PRAGMA busy_timeout")))
    assert wait == 0


async def test_after_a_slow_glance_the_next_ones_are_reads_in_threads(store) -> None:
    async def slow(_connection: object) -> None:
        # The disk itself, as it were.
        threading.Event().wait(2 * sqlite._LONG_GLANCE_S)

    here = threading.get_ident()
    assert await store.database.glance(thread_of) == here
    await store.database.glance(slow)
    assert await store.database.glance(thread_of) != here


async def test_a_wrong_statement_is_a_fault_of_ours(store) -> None:
    with pytest.raises(ChatserverError) as failure:
        await store.database.read(lambda connection: connection.execute(text("SELECT * FROM nowhere")))
    assert type(failure.value) is ChatserverError


async def test_a_transaction_waits_for_nothing_but_its_connection(store) -> None:
    async def wait(_connection: object) -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waited for something else"):
        await store.database.write(wait)


async def test_deleting_a_conversation_leaves_nothing_behind(store, database_file) -> None:
    conversation = (await store.submit(begin(idempotency=key("c")))).conversation
    accepted = await store.submit(turn(conversation, idempotency=key("t")))
    await store.submit(Checkpoint((Part(accepted.generation.id, 1, 1, 0, Channel.ANSWER, "Hel"),)))
    await lengthen(store, accepted.generation)
    kept = await store.answered(await store.conversation())

    await store.database.write(
        lambda connection: connection.execute(
            text("DELETE FROM conversations WHERE id = :id").bindparams(id=conversation.id)
        )
    )
    with closing(sqlite3.connect(database_file)) as connection:
        left = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("conversations", "messages", "generations", "checkpoints", "idempotency")
        }
    assert left == {
        "conversations": 1,
        "messages": 2,
        "generations": 1,
        "checkpoints": 0,
        "idempotency": 0,
    }
    assert await store.generations.find(kept.generation.id) is not None
