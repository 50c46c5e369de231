"""Databases as earlier versions left them, and what is in one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, NullPool, create_engine

from chatserver.storage import migration, postgresql
from chatserver.storage.options import DatabaseOptions

T = TypeVar("T")

#: Rows as the first version wrote them, in an order that keys allow: a talk of one turn, and handed-in work.
FIRST_ROWS: list[tuple[str, dict[str, Any]]] = [
    (
        "conversations",
        {
            "id": "conv_1",
            "tenant": "home",
            "user": "alice",
            "title": "Trips",
            "change": 7,
            "own_change": 5,
            "created_at": 1000,
            "active_at": 1000,
        },
    ),
    (
        "messages",
        {
            "id": "msg_1",
            "conversation": "conv_1",
            "role": "user",
            "content": "Hello?",
            "change": 2,
            "created_at": 1000,
        },
    ),
    (
        "messages",
        {
            "id": "msg_2",
            "conversation": "conv_1",
            "parent": "msg_1",
            "role": "assistant",
            "content": "Hi.",
            "model": "llama",
            "change": 6,
            "created_at": 1000,
        },
    ),
    (
        "generations",
        {
            "id": "gen_1",
            "tenant": "home",
            "user": "alice",
            "conversation": "conv_1",
            "message": "msg_2",
            "status": "completed",
            "reason": "completed",
            "lane": "interactive",
            "model": "llama",
            "request": "{}",
            "epoch": 1,
            "owner": "inst_1",
            "attempts": 1,
            "cancel": False,
            "sha256": "ab",
            "usage": '{"prompt_tokens":3,"completion_tokens":5}',
            "final_epoch": 1,
            "final_n": 4,
            "change": 7,
            "created_at": 1000,
            "started_at": 1000,
            "ended_at": 2000,
        },
    ),
    (
        "generations",
        {
            "id": "gen_2",
            "tenant": "home",
            "user": "alice",
            "status": "running",
            "lane": "background",
            "model": "llama",
            "request": '{"messages":[]}',
            "epoch": 1,
            "owner": "inst_1",
            "attempts": 1,
            "cancel": False,
            "created_at": 1000,
            "started_at": 1000,
        },
    ),
    (
        "checkpoints",
        {"generation": "gen_2", "attempt": 1, "seq": 0, "channel": "answer", "text": "So far"},
    ),
    (
        "idempotency",
        {
            "tenant": "home",
            "user": "alice",
            "key": "k",
            "fingerprint": "one",
            "status": 202,
            "body": "{}",
            "generation": "gen_2",
            "created_at": 1000,
        },
    ),
]


async def on(address: Path | str, work: Callable[[Connection], T]) -> T:
    """Do work in one transaction that may change the tables."""
    if isinstance(address, Path):
        engine = create_engine(f"sqlite:///{address}", poolclass=NullPool)
        with engine.begin() as connection:
            return work(connection)
    changing = postgresql.changing(address, DatabaseOptions())
    async with changing.begin() as connection:
        done = await connection.run_sync(work)
    await changing.dispose()
    return done


def upgrade_to(revision: str) -> Callable[[Connection], None]:
    return lambda connection: command.upgrade(migration._config(connection), revision)


def insert_first_rows(connection: Connection) -> None:
    """Write the rows with the columns that the first version knows."""
    tables = tables_of(connection)
    for name, row in FIRST_ROWS:
        connection.execute(tables[name].insert(), row)
    conversations = tables["conversations"]
    connection.execute(conversations.update().values(leaf="msg_2"))


def tables_of(connection: Connection) -> dict[str, Any]:
    found = MetaData()
    found.reflect(connection)
    return dict(found.tables)


def revisions() -> list[str]:
    """All of them, oldest first."""
    folder = Path(migration.__file__).with_name("migrations")
    script = ScriptDirectory(folder)
    return [each.revision for each in reversed(list(script.walk_revisions()))]
