"""The database as the process sees it: connections to read, one to write, the driver's errors translated."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Executable, Row, literal, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError

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
    def __init__(
        self,
        readers: sqlite.FileThreads,
        writer: sqlite.FileThreads,
        glances: sqlite.FileHere,
        read_wait_s: float,
    ) -> None:
        self._readers = readers
        self._writer = writer
        self._glances = glances
        self._read_wait_s = read_wait_s

    @classmethod
    @asynccontextmanager
    async def open(cls, address: Path | str, options: DatabaseOptions) -> AsyncIterator["Database"]:
        """Open a file, or an address such as sqlite:///chat.db. It is made and brought up to date first."""
        path = _file(address)
        await asyncio.to_thread(upgrade_file, path, options.lock_wait_s)
        prepare_reader = partial(sqlite.prepare_reader, lock_wait_s=options.lock_wait_s)
        prepare_writer = partial(sqlite.prepare_writer, lock_wait_s=options.lock_wait_s)
        readers = sqlite.FileThreads(path, options.readers, prepare_reader, "storage-reader")
        writer = sqlite.FileThreads(path, 1, prepare_writer, "storage-writer")
        glances = sqlite.FileHere(path, partial(sqlite.prepare_reader, lock_wait_s=0))
        try:
            yield cls(readers, writer, glances, options.read_wait_s)
        finally:
            glances.close()
            await readers.close()
            await writer.close()

    async def read(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Do the work, which awaits nothing but its connection, on one consistent view."""
        unavailable = "The database can't be read right now; try again in a moment."
        with _translated(unavailable):
            try:
                async with asyncio.timeout(self._read_wait_s):
                    return await self._readers.run(work)
            except TimeoutError as error:
                raise StoreUnavailable(unavailable) from error

    async def rows(
        self, query: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Read what one query finds."""

        async def work(connection: Connection) -> Sequence[Row[Any]]:
            return (await connection.execute(query, parameters)).all()

        return await self.read(work)

    async def check(self) -> None:
        """See whether it can be read; StoreUnavailable where it can't."""
        await self.rows(select(literal(1)))

    async def glance(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Read by key, here and now: a change of threads costs more than finding one row.

        The event loop waits for neither locks nor a slow disk: then it is read in a thread after all.
        """
        if not self._glances.rests:
            with suppress(StoreUnavailable), _translated():
                return self._glances.run(work)
        return await self.read(work)

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
    except DBAPIError as error:
        if sqlite.is_unavailable(error.orig):
            raise StoreUnavailable(unavailable) from error
        raise ChatserverError("The database refused a statement.") from error
