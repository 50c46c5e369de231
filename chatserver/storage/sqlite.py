"""What holds for SQLite alone: how a connection is set up, what its errors mean, and where its file is."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import URL, CursorResult, Engine, Executable, create_engine, event
from sqlalchemy import Connection as SyncConnection

from chatserver.storage.connection import Connection

T = TypeVar("T")

#: Written and forced to disk before a commit answers; readers never wait for the writer.
_PRAGMAS: dict[str, str | int] = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    # Bytes that the write-ahead log keeps after a burst.
    "journal_size_limit": 64 * 1024 * 1024,
}
#: Primary result codes that say "not now, or not on this disk" rather than "not like this".
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)


def file_url(path: Path, *, driver: str) -> URL:
    return URL.create(driver, database=str(path))


def prepare_reader(engine: Engine, lock_wait_s: float) -> None:
    """Give every transaction one consistent view, and refuse to write in it."""
    _prepare(engine, "BEGIN", lock_wait_s, query_only="ON")


def prepare_writer(engine: Engine, lock_wait_s: float) -> None:
    """Take the write lock at the beginning: what a transaction reads then still holds when it writes."""
    _prepare(engine, "BEGIN IMMEDIATE", lock_wait_s)


class FileWriter:
    """The one thread that writes the file.

    What it is given runs there from end to end: thirty changes of threads for a transaction, as an
    asynchronous driver makes them, cost three times as much as the transaction itself.
    """

    def __init__(self, path: Path, lock_wait_s: float) -> None:
        self._engine = create_engine(
            file_url(path, driver="sqlite"), pool_size=1, max_overflow=0, hide_parameters=True
        )
        prepare_writer(self._engine, lock_wait_s)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="storage-writer")

    async def run(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Do the work in one transaction, which is committed at its end."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    def _run(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        with self._engine.begin() as connection:
            return _run_through(work(_DirectConnection(connection)))


class _DirectConnection:
    """Answers at once, so that whoever awaits nothing else never waits."""

    def __init__(self, connection: SyncConnection) -> None:
        self._connection = connection

    async def execute(
        self, statement: Executable, parameters: Sequence[Mapping[str, Any]] | None = None, /
    ) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable, /) -> Any:
        return self._connection.scalar(statement)


def _run_through(work: Coroutine[Any, Any, T]) -> T:
    try:
        work.send(None)
    except StopIteration as finished:
        return cast("T", finished.value)
    work.close()
    raise RuntimeError("A transaction waited for something else than its connection.")


def is_unavailable(error: BaseException | None) -> bool:
    # The lowest byte is the primary code.
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _UNAVAILABLE


def _prepare(engine: Engine, begin: str, lock_wait_s: float, **more: str) -> None:
    pragmas = {**_PRAGMAS, "busy_timeout": round(lock_wait_s * 1000), **more}

    def connected(connection: Any, _record: object) -> None:
        # Python's own way of beginning transactions leaves reads and table changes outside of them.
        connection.isolation_level = None
        cursor = connection.cursor()
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    def begun(connection: SyncConnection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
