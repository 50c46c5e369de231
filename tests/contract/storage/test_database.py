import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from unittest.mock import patch

import pytest
from sqlalchemy import insert, text

from chatserver.errors import ChatserverError, StoreUnavailable
from chatserver.generation.ids import MESSAGE, new_id
from chatserver.generation.pieces import Channel
from chatserver.storage.checkpoints import Checkpoint, Part
from chatserver.storage.connection import Connection
from chatserver.storage.database import Database
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.tables import messages
from tests.contract.storage.store import ALICE, NOW, begin, key, opened, turn, wait_inside


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


@asynccontextmanager
async def reader_held(database: Database) -> AsyncIterator[None]:
    """Keep one of the connections that read busy."""
    begun, go = threading.Event(), threading.Event()

    async def hold(connection: Connection) -> None:
        begun.set()
        await wait_inside(connection, go)

    holding = asyncio.create_task(database.read(hold), name="hold")
    assert await asyncio.to_thread(begun.wait, 5)
    try:
        yield
    finally:
        go.set()
        await asyncio.gather(holding, return_exceptions=True)


async def test_a_read_waits_for_a_connection_only_so_long(database) -> None:
    async with opened(database, DatabaseOptions(readers=1)) as store:
        async with reader_held(store.database):
            impatient = patch.object(store.database, "_read_wait_s", 0.02)
            with impatient, pytest.raises(StoreUnavailable, match="can't be read"):
                await store.conversations.page(ALICE, 10, None)
        assert (await store.conversations.page(ALICE, 10, None)).items == ()


async def test_a_reader_that_goes_away_leaves_its_connection_behind(database) -> None:
    async with opened(database, DatabaseOptions(readers=1, read_wait_s=1)) as store:
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
        await wait_inside(connection, go)
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


async def test_a_wrong_statement_is_a_fault_of_ours(store) -> None:
    with pytest.raises(ChatserverError) as failure:
        await store.database.read(lambda connection: connection.execute(text("SELECT * FROM nowhere")))
    assert type(failure.value) is ChatserverError


async def test_deleting_a_conversation_leaves_nothing_behind(store) -> None:
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
    left = {
        table: (await store.database.rows(text(f"SELECT count(*) FROM {table}")))[0][0]
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
