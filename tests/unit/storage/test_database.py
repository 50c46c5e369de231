import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from math import inf
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlalchemy import text

from chatserver.errors import StartRefused
from chatserver.storage import sqlite
from chatserver.storage.database import Database
from chatserver.storage.options import DatabaseOptions
from tests.contract.storage.store import ALICE, opened


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
    with pytest.raises(StartRefused, match=r"store\.database_url is.*sqlite:///chat\.db or"):
        async with Database.open(address, DatabaseOptions()):
            pass


async def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path) -> None:
    (tmp_path / "chat.db").write_text("This is a letter, and not short enough to be taken for nothing." * 100)
    with pytest.raises(StartRefused, match=r"chat\.db can't be opened: file is not a database\."):
        async with opened(tmp_path / "chat.db"):
            pass


async def test_writes_are_on_disk_before_they_answer_and_readers_do_not_wait(file_store) -> None:
    found = {}
    for pragma in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only"):
        found[pragma] = await file_store.database.read(
            lambda connection, pragma=pragma: connection.scalar(text(f"PRAGMA {pragma}"))
        )
        found["write", pragma] = await file_store.database.write(
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


async def test_a_transaction_waits_for_nothing_but_its_connection(file_store) -> None:
    async def wait(_connection: object) -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waited for something else"):
        await file_store.database.write(wait)


@asynccontextmanager
async def glancing(store, path: Path) -> AsyncIterator[Database]:
    """A database whose glances take a lock that others may hold, which those of the product don't."""
    glances = sqlite.FileHere(path, partial(sqlite.prepare_writer, lock_wait_s=0))
    with (
        patch.object(store.database._backend, "_glances", glances),
        # However slow the machine is: it is the lock alone that sends them to a thread.
        patch.object(sqlite, "_LONG_GLANCE_S", inf),
    ):
        yield store.database
    glances.close()


async def thread_of(_connection: object) -> int:
    return threading.get_ident()


async def test_a_glance_waits_for_no_lock_and_is_a_read_in_a_thread_then(file_store, database_file) -> None:
    here = threading.get_ident()
    async with glancing(file_store, database_file) as database:
        with closing(sqlite3.connect(database_file)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await database.glance(thread_of) != here
        assert await database.glance(thread_of) == here


async def test_glances_of_the_product_wait_for_no_lock_at_all(file_store) -> None:
    wait = await file_store.database.glance(lambda connection: connection.scalar(text("PRAGMA busy_timeout")))
    assert wait == 0


async def test_after_a_slow_glance_the_next_ones_are_reads_in_threads(file_store) -> None:
    async def slow(_connection: object) -> None:
        # The disk itself, as it were.
        threading.Event().wait(2 * sqlite._LONG_GLANCE_S)

    here = threading.get_ident()
    assert await file_store.database.glance(thread_of) == here
    await file_store.database.glance(slow)
    assert await file_store.database.glance(thread_of) != here
