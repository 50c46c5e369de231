"""Bringing a database up to date, in one transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from asyncpg import InterfaceError, PostgresError
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from chatserver.errors import StartRefused
from chatserver.settings.sentences import without_passwords
from chatserver.storage import postgresql, sqlite
from chatserver.storage.options import DatabaseOptions

_FOLDER = str(Path(__file__).with_name("migrations"))

#: Whoever comes while another process changes the tables waits for it this long, in seconds.
_OTHERS_CHANGE_S = 60
_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(:ours, :migrating)").bindparams(
    ours=postgresql.OUR_LOCKS, migrating=postgresql.MIGRATING_LOCK
)

_MAY_CREATE = text("SELECT has_schema_privilege(current_schema(), 'CREATE')")
# A list of privileges asks for any of them, so each is asked for by itself.
_MAY_WRITE = text("""
    SELECT bool_and(has_table_privilege(format('%I.%I', schemaname, tablename), privilege))
    FROM pg_tables, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    WHERE schemaname = current_schema()
""")


class Standing(Enum):
    """Where a database's tables stand to those that this version knows."""

    EMPTY = auto()
    OLDER = auto()
    CURRENT = auto()
    NEWER = auto()


def upgrade_file(path: Path, lock_wait_s: float) -> None:
    """Make the SQLite file or bring it up to date. Blocks: asynchronous callers use a thread."""
    engine = create_engine(sqlite.file_url(path), poolclass=NullPool, hide_parameters=True)
    sqlite.prepare_writer(engine, lock_wait_s)
    try:
        # For its owner alone, whatever the folder allows; SQLite gives the files beside it the same mode.
        path.touch(mode=0o600)
        with engine.begin() as connection:
            _upgrade(connection, f"The database {path}")
    except OSError as error:
        raise StartRefused(f"The database {path} can't be made: {error.strerror}.") from error
    except DBAPIError as error:
        raise StartRefused(f"The database {path} can't be opened: {error.orig}.") from error


async def prepare_server(address: str, options: DatabaseOptions) -> None:
    """Set up a PostgreSQL database that is empty, and refuse one that isn't up to date."""
    async with _changing(address, options) as connection:
        await connection.run_sync(_prepare, _named(address))


async def upgrade_server(address: str, options: DatabaseOptions) -> None:
    """Bring a PostgreSQL database up to date; of several who do so at once one does the work."""
    async with _changing(address, options) as connection:
        await connection.run_sync(_upgrade, _named(address))


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a look at a PostgreSQL database finds."""

    version: str
    standing: Standing
    #: Tables may be made in it, or those that are there may be read and written.
    usable: bool


async def look_at_server(address: str, options: DatabaseOptions) -> ServerReport:
    """Look at a PostgreSQL database without changing it; StartRefused where that can't be done."""
    async with _reached(address, options) as connection:
        standing = await connection.run_sync(standing_of)
        version = await connection.scalar(text("SHOW server_version"))
        may_use = _MAY_CREATE if standing is Standing.EMPTY else _MAY_WRITE
        return ServerReport(str(version), standing, bool(await connection.scalar(may_use)))


def standing_of(connection: Connection) -> Standing:
    script = _versions()
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        return Standing.EMPTY
    if current == script.get_current_head():
        return Standing.CURRENT
    try:
        script.get_revision(current)
    except CommandError:
        return Standing.NEWER
    return Standing.OLDER


def _prepare(connection: Connection, name: str) -> None:
    standing = standing_of(connection)
    if standing is Standing.OLDER:
        raise StartRefused(
            f"{name} is older than this version of the server; bring it up to date with: chatserver migrate"
        )
    if standing is not Standing.CURRENT:
        _upgrade(connection, name)


def _upgrade(connection: Connection, name: str) -> None:
    standing = standing_of(connection)
    if standing is Standing.NEWER:
        current = MigrationContext.configure(connection).get_current_revision()
        raise StartRefused(
            f"{name} was written by a newer version of this server (its version is {current}); "
            "start that one, or choose another database."
        )
    if standing is not Standing.CURRENT:
        command.upgrade(_config(connection), "head")


@asynccontextmanager
async def _changing(address: str, options: DatabaseOptions) -> AsyncIterator[AsyncConnection]:
    """One transaction that changes tables, while no other one does."""
    async with _reached(address, options) as connection:
        wait_ms = round(1000 * _OTHERS_CHANGE_S)
        await connection.execute(text(f"SET LOCAL lock_timeout = {wait_ms}"))
        await connection.execute(_TAKE_TURNS)
        # A table that is in use must not be waited for so long: all who come later would wait behind.
        await connection.execute(text(f"SET LOCAL lock_timeout = {round(1000 * options.lock_wait_s)}"))
        yield connection


@asynccontextmanager
async def _reached(address: str, options: DatabaseOptions) -> AsyncIterator[AsyncConnection]:
    engine = postgresql.changing(address, options)
    try:
        async with engine.begin() as connection:
            yield connection
    except (DBAPIError, PostgresError, InterfaceError, OSError, TimeoutError, ValueError) as error:
        raise StartRefused(f"{_named(address)} can't be used: {postgresql.in_words(error)}.") from error
    finally:
        await engine.dispose()


def _named(address: str) -> str:
    return f"The database {without_passwords(address)}"


@cache
def _versions() -> ScriptDirectory:
    """Give the versions that this code knows, whose files are read once."""
    return ScriptDirectory(_FOLDER)


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    # The value is read with %-interpolation.
    config.set_main_option("script_location", _FOLDER.replace("%", "%%"))
    return config
