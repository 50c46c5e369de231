"""Bringing a database up to date, in one transaction."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from chatserver.errors import StartRefused
from chatserver.storage import sqlite


def upgrade_file(path: Path, lock_wait_s: float) -> None:
    """Make the SQLite file or bring it up to date. Blocks: asynchronous callers use a thread."""
    engine = create_engine(sqlite.file_url(path), poolclass=NullPool, hide_parameters=True)
    sqlite.prepare_writer(engine, lock_wait_s)
    try:
        # For its owner alone, whatever the folder allows; SQLite gives the files beside it the same mode.
        path.touch(mode=0o600)
        with engine.begin() as connection:
            _upgrade(connection, path)
    except OSError as error:
        raise StartRefused(f"The database {path} can't be made: {error.strerror}.") from error
    except DBAPIError as error:
        raise StartRefused(f"The database {path} can't be opened: {error.orig}.") from error


def _upgrade(connection: Connection, path: Path) -> None:
    config = _config(connection)
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return
    try:
        script.get_revision(current or "base")
    except CommandError as error:
        raise StartRefused(
            f"The database {path} was written by a newer version of this server (its version is {current}); "
            "start that one, or choose another data folder."
        ) from error
    command.upgrade(config, "head")


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    folder = str(Path(__file__).with_name("migrations"))
    # The value is read with %-interpolation.
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config
