"""Rows into a database before anybody opens it, as fast as each kind takes them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from sqlalchemy import Table, insert
from sqlalchemy.dialects import sqlite

from chatserver.storage.migration import prepare_server, upgrade_file
from chatserver.storage.options import DatabaseOptions

#: Rows of one table, all with the same columns.
Rows = Sequence[Mapping[str, Any]]

# What is written is worth nothing if it breaks off; keys are right by the way rows are made.
_FAST = {"journal_mode": "OFF", "synchronous": "OFF", "foreign_keys": "OFF", "cache_size": -500_000}
_KEYS_UNCHECKED = "SET session_replication_role = replica"
_OTHER_SESSIONS = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Filling(Protocol):
    """A database that is being filled."""

    async def add(self, table: Table, rows: Rows) -> None:
        """Write rows, values as the database has them."""


class Fillable(Protocol):
    """A database that is still empty."""

    @property
    def address(self) -> Path | str:
        """Where it is opened afterwards."""

    def filling(self) -> AbstractAsyncContextManager[Filling]:
        """Make its tables, let them be filled, and do what a database does by itself after a while."""

    async def processes(self) -> Sequence[int]:
        """Give those that work for this one's reads, once it is open."""


@dataclass(frozen=True)
class File:
    address: Path

    @asynccontextmanager
    async def filling(self) -> AsyncIterator[Filling]:
        upgrade_file(self.address, DatabaseOptions().lock_wait_s)
        with closing(sqlite3.connect(self.address)) as connection:
            for name, value in _FAST.items():
                connection.execute(f"PRAGMA {name} = {value}")
            yield _FileFilling(connection)
            connection.commit()

    async def processes(self) -> Sequence[int]:
        return [getpid()]


@dataclass(frozen=True)
class Server:
    address: str

    @asynccontextmanager
    async def filling(self) -> AsyncIterator[Filling]:
        await prepare_server(self.address, DatabaseOptions())
        connection = await asyncpg.connect(self.address)
        try:
            await connection.execute(_KEYS_UNCHECKED)
            yield _ServerFilling(connection)
            await connection.execute("VACUUM ANALYZE")
        finally:
            await connection.close()

    async def processes(self) -> Sequence[int]:
        connection = await asyncpg.connect(self.address)
        try:
            return [getpid(), *(row["pid"] for row in await connection.fetch(_OTHER_SESSIONS))]
        finally:
            await connection.close()


@dataclass(frozen=True)
class _FileFilling:
    """All in one transaction."""

    connection: sqlite3.Connection

    async def add(self, table: Table, rows: Rows) -> None:
        if rows:
            statement = insert(table).values(dict.fromkeys(rows[0]))
            written = str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))
            self.connection.executemany(written, rows)
            # So that whoever stops it is heard.
            await asyncio.sleep(0)


@dataclass(frozen=True)
class _ServerFilling:
    connection: asyncpg.Connection

    async def add(self, table: Table, rows: Rows) -> None:
        if rows:
            records = [tuple(row.values()) for row in rows]
            await self.connection.copy_records_to_table(table.name, records=records, columns=list(rows[0]))
