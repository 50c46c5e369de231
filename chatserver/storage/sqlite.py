"""What holds for SQLite alone: how a connection is set up, what its errors mean, and where its file is."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import URL, CursorResult, Engine, Executable, QueuePool, create_engine, event
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import DBAPIError

from chatserver.storage.connection import Work, Write
from chatserver.storage.options import DatabaseOptions

T = TypeVar("T")

#: Written and forced to disk before a commit answers; readers never wait for the writer.
_PRAGMAS: dict[str, str | int] = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "foreign_keys": "ON",
    # Bytes that the write-ahead log keeps after a burst.
    "journal_size_limit": 64 * 1024 * 1024,
}
#: Seconds after which a glance was no glance, and for which threads are used then: the disk is slow.
_LONG_GLANCE_S = 0.05
_REST_S = 5

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


def file_url(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


def prepare_reader(engine: Engine, lock_wait_s: float) -> None:
    """Give every transaction one consistent view, and refuse to write in it."""
    _prepare(engine, "BEGIN", lock_wait_s, query_only="ON")


def prepare_writer(engine: Engine, lock_wait_s: float) -> None:
    """Take the write lock at the beginning: what a transaction reads then still holds when it writes."""
    _prepare(engine, "BEGIN IMMEDIATE", lock_wait_s)


class SqliteDatabase:
    """A file: threads that read it, one that writes it, and a connection for glances."""

    distant = False

    def __init__(self, path: Path, options: DatabaseOptions) -> None:
        prepare_readers = partial(prepare_reader, lock_wait_s=options.lock_wait_s)
        prepare_the_writer = partial(prepare_writer, lock_wait_s=options.lock_wait_s)
        self._readers = FileThreads(path, options.readers, prepare_readers, "storage-reader")
        self._writer = FileThreads(path, 1, prepare_the_writer, "storage-writer")
        self._glances = FileHere(path, partial(prepare_reader, lock_wait_s=0))

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, options: DatabaseOptions) -> AsyncIterator["SqliteDatabase"]:
        database = cls(path, options)
        try:
            yield database
        finally:
            database._glances.close()
            await database._readers.close()
            await database._writer.close()

    async def read(self, work: Work[T]) -> T:
        return await self._readers.run(work)

    async def query(self, work: Work[T]) -> T:
        return await self.read(work)

    async def glance(self, work: Work[T]) -> T:
        # Here and now: a change of threads costs more than finding one row. The event loop waits for neither
        # locks nor a slow disk: then it is read in a thread after all.
        if not self._glances.rests:
            try:
                return self._glances.run(work)
            except DBAPIError as error:
                if not is_unavailable(error.orig):
                    raise
        return await self.read(work)

    async def write(self, work: Work[T]) -> T:
        return await self._writer.run(work)

    def is_unavailable(self, error: Exception) -> bool:
        return isinstance(error, TimeoutError) or (
            isinstance(error, DBAPIError) and is_unavailable(error.orig)
        )

    def cause(self, error: Exception) -> Exception:
        return error


class FileThreads:
    """Threads with a connection each, for all that reads the file or for the one that writes it.

    What they are given runs there from end to end: thirty changes of threads for a transaction, as an
    asynchronous driver makes them, cost three times as much as the transaction itself.
    """

    def __init__(self, path: Path, threads: int, prepare: Callable[[Engine], None], name: str) -> None:
        self._engine = _engine(path, threads, prepare)
        self._own = threading.local()
        self._connections: list[SyncConnection] = []
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)

    async def run(self, work: Work[T]) -> T:
        """Do the work in one transaction, which is committed at its end."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, work)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._connections:
            connection.close()
        self._engine.dispose()

    def _run(self, work: Work[T]) -> T:
        return _run_in(self._connection(), work)

    def _connection(self) -> SyncConnection:
        # Kept by its thread: taking it from a pool each time costs as much as a small query.
        connection: SyncConnection | None = getattr(self._own, "connection", None)
        if connection is None or connection.closed or connection.invalidated:
            connection = self._own.connection = self._engine.connect()
            self._connections.append(connection)
        return connection


class FileHere:
    """A connection for reads so short that they are done where they are asked for."""

    def __init__(self, path: Path, prepare: Callable[[Engine], None]) -> None:
        self._engine = _engine(path, 1, prepare)
        self._connection = self._engine.connect()
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """A read took so long lately that the next ones had better be done elsewhere."""
        return time.monotonic() < self._rests_until

    def run(self, work: Work[T]) -> T:
        began = time.monotonic()
        try:
            return _run_in(self._connection, work)
        finally:
            ended = time.monotonic()
            if ended - began > _LONG_GLANCE_S:
                self._rests_until = ended + _REST_S

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


def _engine(path: Path, connections: int, prepare: Callable[[Engine], None]) -> Engine:
    engine = create_engine(
        file_url(path),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        # What people wrote must not get into logs by way of an error's text.
        hide_parameters=True,
        # Each is used by one thread, and closed by another in the end.
        connect_args={"check_same_thread": False},
    )
    prepare(engine)
    return engine


def _run_in(connection: SyncConnection, work: Work[T]) -> T:
    with connection.begin():
        return _run_through(work(_DirectConnection(connection)))


class _DirectConnection:
    """Answers at once, so that whoever awaits nothing else never waits."""

    def __init__(self, connection: SyncConnection) -> None:
        self._connection = connection

    async def execute(
        self,
        statement: Executable,
        parameters: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
        /,
    ) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)

    async def scalar(self, statement: Executable, /) -> Any:
        return self._connection.scalar(statement)

    async def write(self, writes: Sequence[Write], /) -> None:
        for statement, rows in writes:
            self._connection.execute(statement, rows)


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
