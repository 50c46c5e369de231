"""The database as the process sees it: reads, writes, and the driver's errors translated."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Executable, Row, literal, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

from chatserver.errors import ChatserverError, StartRefused, StoreInDoubt, StoreUnavailable
from chatserver.settings import Settings
from chatserver.storage.connection import Backend, Connection, Work
from chatserver.storage.folder import DataFolder
from chatserver.storage.migration import prepare_server, upgrade_file, upgrade_server
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.postgresql import PostgresDatabase, is_server
from chatserver.storage.sqlite import SqliteDatabase

T = TypeVar("T")

_UNREADABLE = "The database can't be read right now; try again in a moment."


class Database:
    def __init__(self, backend: Backend, read_wait_s: float) -> None:
        self._backend = backend
        self._read_wait_s = read_wait_s

    @classmethod
    @asynccontextmanager
    async def open(cls, address: Path | str, options: DatabaseOptions) -> AsyncIterator["Database"]:
        """Open a file, or an address such as sqlite:///chat.db or postgresql://db.example.org/chat.

        A file, or a database that is empty, is set up and brought up to date first.
        """
        async with await _opened(address, options) as backend:
            yield cls(backend, options.read_wait_s)

    async def read(self, work: Work[T]) -> T:
        """Do the work on one consistent view."""
        with self._translated(_UNREADABLE):
            async with asyncio.timeout(self._read_wait_s):
                return await self._backend.read(work)

    async def rows(
        self, query: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Read what one query finds."""

        async def work(connection: Connection) -> Sequence[Row[Any]]:
            return (await connection.execute(query, parameters)).all()

        with self._translated(_UNREADABLE):
            async with asyncio.timeout(self._read_wait_s):
                return await self._backend.query(work)

    async def check(self) -> None:
        """See whether it can be read; StoreUnavailable where it can't."""
        await self.rows(select(literal(1)))

    async def glance(self, work: Work[T]) -> T:
        """Read by key with one query, as fast as that can be."""
        with self._translated(_UNREADABLE):
            async with asyncio.timeout(self._read_wait_s):
                return await self._backend.glance(work)

    async def write(self, work: Work[T]) -> T:
        """Do the work in one transaction. For the writer alone."""
        done = False

        async def noted(connection: Connection) -> T:
            nonlocal done
            result = await work(connection)
            done = True
            return result

        try:
            with self._translated():
                return await self._backend.write(noted)
        except StoreUnavailable as error:
            if done and self._backend.distant:
                raise StoreInDoubt from error.__cause__
            raise

    @contextmanager
    def _translated(self, unavailable: str | None = None) -> Iterator[None]:
        """Make the driver's errors ours; the one place where that is done."""
        try:
            yield
        except Exception as error:
            if self._backend.is_unavailable(error):
                raise StoreUnavailable(unavailable) from self._backend.cause(error)
            if isinstance(error, DBAPIError):
                raise ChatserverError("The database refused a statement.") from self._backend.cause(error)
            raise


async def _opened(address: Path | str, options: DatabaseOptions) -> AbstractAsyncContextManager[Backend]:
    if isinstance(address, str) and is_server(address):
        await prepare_server(address, options)
        return PostgresDatabase.open(address, options)
    path = _file(address)
    await asyncio.to_thread(upgrade_file, path, options.lock_wait_s)
    return SqliteDatabase.open(path, options)


def migrate(settings: Settings) -> None:
    """Bring the database up to date."""
    asyncio.run(_migrate(settings))


async def _migrate(settings: Settings) -> None:
    address, options = settings.store.database_url, DatabaseOptions()
    if is_server(address):
        # A server may be at work meanwhile: what is new only adds to what it knows.
        await upgrade_server(address, options)
        return
    async with DataFolder(settings.server.data_dir, wait_s=0) as folder:
        await asyncio.to_thread(upgrade_file, _file(address or folder.database), options.lock_wait_s)


def _file(address: Path | str) -> Path:
    if isinstance(address, Path):
        return address
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise StartRefused(
            "store.database_url is no address; allowed is one like sqlite:///chat.db or "
            "postgresql://user:password@host/name."
        ) from error
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        raise StartRefused(
            "store.database_url isn't available for anything but an SQLite file and PostgreSQL; allowed is "
            "an address like sqlite:///chat.db or postgresql://user:password@host/name."
        )
    return Path(str(url.database))
