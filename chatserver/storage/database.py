"""The database as the process sees it: connections to read, one to write, the driver's errors translated."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from chatserver.errors import ChatserverError, StartRefused, StoreUnavailable
from chatserver.settings import Settings
from chatserver.storage import sqlite
from chatserver.storage.connection import Connection
from chatserver.storage.folder import DataFolder
from chatserver.storage.migration import upgrade_file

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    #: Connections that only read.
    readers: int = 4
    #: Seconds a read waits for one of them.
    read_wait_s: float = 5
    #: Seconds to wait for a lock that another process holds on the file.
    lock_wait_s: float = 5


class Database:
    def __init__(self, reader: AsyncEngine, writer: sqlite.FileWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, address: Path | str, options: DatabaseOptions) -> AsyncIterator["Database"]:
        """Open a file, or an address such as sqlite:///chat.db. It is made and brought up to date first."""
        path = _file(address)
        await asyncio.to_thread(upgrade_file, path, options.lock_wait_s)
        reader, writer = _reader(path, options), sqlite.FileWriter(path, options.lock_wait_s)
        try:
            yield cls(reader, writer)
        finally:
            await reader.dispose()
            await writer.close()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """One consistent view; StoreUnavailable when no connection is free in time."""
        with _translated("The database can't be read right now; try again in a moment."):
            async with self._reader.connect() as connection:
                yield connection

    async def write(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Do the work, which awaits nothing but its connection, in one transaction. For the writer alone."""
        with _translated():
            return await self._writer.run(work)


def migrate(settings: Settings) -> None:
    """Bring the database up to date, while nobody uses it."""
    asyncio.run(_migrate(settings))


async def _migrate(settings: Settings) -> None:
    async with DataFolder(settings.server.data_dir, wait_s=0) as folder:
        path = _file(settings.store.database_url or folder.database)
        await asyncio.to_thread(upgrade_file, path, DatabaseOptions().lock_wait_s)


def _reader(path: Path, options: DatabaseOptions) -> AsyncEngine:
    engine = create_async_engine(
        sqlite.file_url(path, driver="sqlite+aiosqlite"),
        pool_size=options.readers,
        max_overflow=0,
        pool_timeout=options.read_wait_s,
        # What people wrote must not get into logs by way of an error's text.
        hide_parameters=True,
    )
    sqlite.prepare_reader(engine.sync_engine, options.lock_wait_s)
    return engine


def _file(address: Path | str) -> Path:
    if isinstance(address, Path):
        return address
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise StartRefused(
            "store.database_url is no address; allowed is one like sqlite:///chat.db."
        ) from error
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        raise StartRefused(
            "store.database_url isn't available for anything but an SQLite file; allowed is an address like "
            "sqlite:///chat.db."
        )
    return Path(str(url.database))


@contextmanager
def _translated(unavailable: str | None = None) -> Iterator[None]:
    """The one place where errors of the driver become ours."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable(unavailable) from error
    except DBAPIError as error:
        if sqlite.is_unavailable(error.orig):
            raise StoreUnavailable(unavailable) from error
        raise ChatserverError("The database refused a statement.") from error
