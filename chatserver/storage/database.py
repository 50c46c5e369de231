"""The database as the process sees it: connections to read, one to write, errors of the driver translated."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from chatserver.settings import Settings


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    #: Connections that only read.
    readers: int = 4
    #: Seconds a read waits for one of them.
    read_wait_s: float = 5
    #: Seconds to wait for a lock that another process holds on the file.
    lock_wait_s: float = 5


class Database:
    @classmethod
    @asynccontextmanager
    async def open(cls, address: Path | str, options: DatabaseOptions) -> AsyncIterator["Database"]:
        """Open a file (made and brought up to date where needed) or an address such as sqlite:///chat.db."""
        raise NotImplementedError(address, options)
        yield cls()

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One consistent view; StoreUnavailable when no connection is free in time."""
        raise NotImplementedError

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One transaction, committed at the end. Only the writer and its tests call this."""
        raise NotImplementedError


def migrate(settings: Settings) -> None:
    """Bring the database up to date."""
    raise NotImplementedError
