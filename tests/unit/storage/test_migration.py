import sqlite3
import stat
from contextlib import closing

import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy import create_engine

from chatserver.errors import StartRefused
from chatserver.generation.principal import Principal
from chatserver.settings import load
from chatserver.storage import migration
from chatserver.storage.database import migrate
from chatserver.storage.tables import metadata
from chatserver.storage.words import key_of


def columns(path, table) -> set[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[1:] for row in connection.execute(f"PRAGMA table_info({table})")}


def references(path, table) -> set[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({table})")}


def indexes(path) -> set[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return set(
            connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql > ''")
        )


@pytest.fixture
def described(tmp_path) -> str:
    """A database made from the tables as the code describes them."""
    engine = create_engine(f"sqlite:///{tmp_path}/described.db")
    metadata.create_all(engine)
    engine.dispose()
    return tmp_path / "described.db"


def test_the_migrations_lead_to_the_tables_that_the_code_describes(database_file, described) -> None:
    for table in metadata.tables:
        assert columns(database_file, table) == columns(described, table)
        assert references(database_file, table) == references(described, table)
    assert indexes(database_file) == indexes(described)


def test_every_foreign_key_has_an_index_to_follow_it_back(database_file) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        for table in metadata.tables:
            first = {
                connection.execute(f"PRAGMA index_info({index[1]})").fetchone()[2]
                for index in connection.execute(f"PRAGMA index_list({table})")
            }
            assert {reference[1] for reference in references(database_file, table)} <= first


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database_file) -> None:
    with closing(sqlite3.connect(database_file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StartRefused, match=r"chat\.db was written by a newer version .* 9999"):
        migration.upgrade_file(database_file, lock_wait_s=1)


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path, monkeypatch) -> None:
    def fail(config, _revision) -> None:
        config.attributes["connection"].exec_driver_sql("CREATE TABLE half (id TEXT)")
        raise CommandError("no more")

    monkeypatch.setattr(migration.command, "upgrade", fail)
    with pytest.raises(CommandError):
        migration.upgrade_file(tmp_path / "chat.db", lock_wait_s=1)
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_a_percent_sign_in_the_path_is_no_trouble(tmp_path) -> None:
    (tmp_path / "100%d").mkdir()
    migration.upgrade_file(tmp_path / "100%d" / "chat.db", lock_wait_s=1)


def test_the_file_is_made_for_its_owner_alone(tmp_path) -> None:
    migration.upgrade_file(tmp_path / "chat.db", lock_wait_s=1)
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection, connection:
        connection.execute("DELETE FROM messages")
        made = sorted(tmp_path.iterdir())
        assert [path.name for path in made] == ["chat.db", "chat.db-shm", "chat.db-wal"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}


def test_a_folder_that_is_not_there_is_told_in_a_sentence(tmp_path) -> None:
    with pytest.raises(StartRefused, match=r"can't be made: No such file or directory\."):
        migration.upgrade_file(tmp_path / "missing" / "chat.db", lock_wait_s=1)


def test_a_file_that_is_locked_is_told_in_a_sentence(database_file) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StartRefused, match=r"can't be opened: database is locked\."):
            migration.upgrade_file(database_file, lock_wait_s=0.01)


def test_the_command_brings_the_database_of_the_data_folder_up_to_date(tmp_path) -> None:
    settings = load(None, {}, {"server.data_dir": str(tmp_path / "data")}).settings
    migrate(settings)
    assert columns(tmp_path / "data" / "chatserver.db", "conversations")


def test_the_command_brings_a_named_database_up_to_date(tmp_path) -> None:
    options = {
        "server.data_dir": str(tmp_path / "data"),
        "store.database_url": f"sqlite:///{tmp_path}/named.db",
    }
    migrate(load(None, {}, options).settings)
    assert columns(tmp_path / "named.db", "messages")


def test_messages_of_an_earlier_version_learn_how_deep_in_their_branch_they_are(tmp_path) -> None:
    path = tmp_path / "chat.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(migration._config(connection), "0001")
        connection.exec_driver_sql(
            "INSERT INTO conversations (id, tenant, user, change, own_change, created_at, active_at)"
            " VALUES ('c', 't', 'u', 1, 1, 1, 1)"
        )
        for name, parent in {"a": None, "b": "a", "c": "b", "d": "a", "e": None}.items():
            connection.exec_driver_sql(
                "INSERT INTO messages (id, conversation, parent, role, content, change, created_at)"
                " VALUES (?, 'c', ?, 'user', 'Hi', 1, 1)",
                (name, parent),
            )
    engine.dispose()
    migration.upgrade_file(path, lock_wait_s=1)
    with closing(sqlite3.connect(path)) as connection:
        found = dict(connection.execute("SELECT id, depth FROM messages").fetchall())
    assert found == {"a": 1, "b": 2, "c": 3, "d": 2, "e": 1}


def test_what_was_said_before_there_was_a_search_is_found_after_it(tmp_path) -> None:
    path = tmp_path / "chat.db"
    upgrade_to("0005", path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            """
            INSERT INTO conversations (id, tenant, user, title, change, own_change, created_at, active_at)
            VALUES (?, 'home', 'alice', ?, 1, 1, 1, 1)
            """,
            [("conv_1", "Rivers"), ("conv_2", None)],
        )
        connection.executemany(
            """
            INSERT INTO messages (id, conversation, role, content, change, created_at)
            VALUES (?, 'conv_1', 'user', ?, ?, 1)
            """,
            [("msg_1", "the longest river", 2), ("msg_2", "the river", 3)],
        )
    migration.upgrade_file(path, lock_wait_s=1)
    key = key_of(Principal("home", "alice"))
    with closing(sqlite3.connect(path)) as connection:
        entries = connection.execute("SELECT number, words FROM search_entries ORDER BY number").fetchall()
        assert entries == [(0, f"{key}rivers"), (1, f"{key}the {key}longest {key}river")]
        match = "SELECT count(*) FROM search_index WHERE search_index MATCH ?"
        assert connection.execute(match, (f"{key}lon*",)).fetchone() == (1,)


def upgrade_to(revision: str, path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(migration._config(connection), revision)
    engine.dispose()
