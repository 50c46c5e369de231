"""What holds for SQLite alone: how a connection is set up, what its errors mean, and where its file is."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event

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
    _prepare(engine, "BEGIN", {**_PRAGMAS, "busy_timeout": round(lock_wait_s * 1000), "query_only": "ON"})


def prepare_writer(engine: Engine, lock_wait_s: float) -> None:
    """Take the write lock at the beginning: what a transaction reads then still holds when it writes."""
    _prepare(engine, "BEGIN IMMEDIATE", {**_PRAGMAS, "busy_timeout": round(lock_wait_s * 1000)})


def is_unavailable(error: BaseException | None) -> bool:
    # The lowest byte is the primary code.
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _UNAVAILABLE


def _prepare(engine: Engine, begin: str, pragmas: Mapping[str, str | int]) -> None:
    def connected(connection: Any, _record: object) -> None:
        # Python's own way of beginning transactions leaves reads and table changes outside of them.
        connection.isolation_level = None
        cursor = connection.cursor()
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
