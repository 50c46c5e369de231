"""What holds for PostgreSQL alone: how it is reached, how long it is waited for, what its errors mean."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import NullPool, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from chatserver.settings.models import POSTGRESQL
from chatserver.settings.sentences import without_passwords
from chatserver.storage.connection import Work, Write
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.together import as_one

T = TypeVar("T")

#: Advisory locks are pairs of numbers: the first is ours ("chat"), the second says what is locked.
OUR_LOCKS = 0x63686174
SERVING_LOCK = 1
MIGRATING_LOCK = 2

#: Seconds that the driver waits beyond the server's own deadline, whose end leaves a usable connection.
_LONGER_THAN_SERVER_S = 1
_SESSION = {
    "application_name": "chatserver",
    # A peer that vanished without a word is given up after about half a minute, and its locks with it.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "idle_in_transaction_session_timeout": "60000",
    # A search is thought to find far more than it does, and would be compiled first: 7 ms for what takes one.
    "jit": "off",
}
#: Classes of SQLSTATE that say "not now": connection, rolled back (deadlock), resources, an operator's or a
#: deadline's stop, the system.
_UNAVAILABLE_CLASSES = frozenset({"08", "40", "53", "57", "58"})
#: A wrong login or a missing database while we run, a read-only server, a lock not had in time.
_UNAVAILABLE_STATES = frozenset({"28000", "28P01", "3D000", "25006", "55P03"})


def is_server(address: str) -> bool:
    return address.startswith(POSTGRESQL)


async def connect(address: str, options: DatabaseOptions, **session: str) -> asyncpg.Connection:
    """Open a connection whose every statement has a deadline; `session` sets parameters of the server's."""
    wait_ms = round(1000 * options.statement_wait_s)
    return await asyncpg.connect(
        address,
        timeout=options.connect_wait_s,
        command_timeout=options.statement_wait_s + _LONGER_THAN_SERVER_S,
        server_settings={
            **_SESSION,
            "statement_timeout": str(wait_ms),
            "lock_timeout": str(round(1000 * options.lock_wait_s)),
            **session,
        },
    )


class PostgresDatabase:
    """A pool of connections that read, and one that writes."""

    distant = True

    def __init__(self, address: str, options: DatabaseOptions) -> None:
        read_only = partial(connect, address, options, default_transaction_read_only="on")
        self._readers = _pool(read_only, options.readers, options.read_wait_s, "REPEATABLE READ")
        # A single statement has one view of its own: no transaction, two round trips less.
        self._queries = self._readers.execution_options(isolation_level="AUTOCOMMIT")
        self._writer = _pool(partial(connect, address, options), 1, options.lock_wait_s, "READ COMMITTED")
        #: Kept after a transaction that went well: taking one anew costs as much as a short statement.
        self._writing: AsyncConnection | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, options: DatabaseOptions) -> AsyncIterator["PostgresDatabase"]:
        database = cls(address, options)
        try:
            yield database
        finally:
            if database._writing is not None:
                await database._writing.close()
            for engine in (database._readers, database._writer):
                event.listen(engine.sync_engine, "close", _hang_up)
                await engine.dispose()

    async def read(self, work: Work[T]) -> T:
        return await _run(self._readers, work)

    async def query(self, work: Work[T]) -> T:
        return await _run(self._queries, work)

    async def glance(self, work: Work[T]) -> T:
        return await self.query(work)

    async def write(self, work: Work[T]) -> T:
        connection = await self._to_write()
        async with AsyncExitStack() as unless_committed:
            unless_committed.push_async_exit(connection)
            result = await _committed(connection, work)
            unless_committed.pop_all()
            self._writing = connection
        return result

    async def _to_write(self) -> AsyncConnection:
        kept, self._writing = self._writing, None
        if kept is not None:
            if kept.sync_connection and not _is_closed(kept.sync_connection.connection):
                return kept
            await kept.close()
        return await self._writer.connect()

    def is_unavailable(self, error: Exception) -> bool:
        return is_unavailable(error)

    def cause(self, error: Exception) -> Exception:
        return without_text(error)


def is_unavailable(error: BaseException | None) -> bool:
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or is_unavailable(error.orig)
    state = getattr(error, "sqlstate", None)
    if state is None:
        return isinstance(error, OSError | TimeoutError | NoneFree)
    return state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE_STATES


def without_text(error: Exception) -> Exception:
    """Name an error: the driver's own text quotes parameters and rows."""
    original = getattr(error, "orig", None) or error
    original = original.__cause__ or original
    known = [getattr(original, name, None) for name in ("sqlstate", "table_name", "constraint_name")]
    return RuntimeError(" ".join([type(original).__name__, *filter(None, known)]))


def in_words(error: Exception) -> str:
    """Say what went wrong with a connection, as the end of a sentence."""
    original = getattr(error, "orig", None) or error
    original = original.__cause__ or original
    # The first line says it; those after it are hints and quotations.
    said = str(original).splitlines()[0] if str(original) else type(original).__name__
    return without_passwords(said).rstrip(".")


def changing(address: str, options: DatabaseOptions) -> AsyncEngine:
    """Give an engine for changes of the schema, which may take as long as they need once they have begun."""

    async def without_deadline() -> asyncpg.Connection:
        return await asyncpg.connect(
            address,
            timeout=options.connect_wait_s,
            server_settings={**_SESSION, "lock_timeout": str(round(1000 * options.lock_wait_s))},
        )

    return _engine(without_deadline, poolclass=NullPool)


def _pool(creator: Any, size: int, wait_s: float, isolation: str) -> AsyncEngine:
    engine = _engine(creator, pool_size=size, max_overflow=0, pool_timeout=wait_s, isolation_level=isolation)
    event.listen(engine.sync_engine, "checkout", _check_open)
    return engine


def _engine(creator: Any, **more: Any) -> AsyncEngine:
    # What people wrote must not get into logs by way of an error's text.
    return create_async_engine("postgresql+asyncpg://", async_creator=creator, hide_parameters=True, **more)


def _check_open(connection: Any, _record: object, _proxy: object) -> None:
    # The pool opens another.
    if _is_closed(connection):
        raise DisconnectionError


def _hang_up(connection: Any, _record: object) -> None:
    # Without a goodbye, whose answer is waited for as long as a statement's: one that is away gives none.
    connection.driver_connection.terminate()


def _is_closed(connection: Any) -> bool:
    # The driver hears of a connection's end by itself, so nothing has to be asked.
    return bool(connection.driver_connection.is_closed())


class ServerConnection:
    """A connection of SQLAlchemy's, on which much is written at once."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.execute = connection.execute
        self.scalar = connection.scalar

    async def write(self, writes: Sequence[Write], /) -> None:
        if writes:
            await self.execute(*as_one(writes))


async def _run(engine: AsyncEngine, work: Work[T]) -> T:
    async with engine.connect() as connection:
        return await _committed(connection, work)


async def _committed(connection: AsyncConnection, work: Work[T]) -> T:
    try:
        result = await work(ServerConnection(connection))
        await connection.commit()
    except (TimeoutError, asyncio.CancelledError):
        # What didn't answer in time wouldn't answer a rollback either.
        await connection.invalidate()
        raise
    return result
