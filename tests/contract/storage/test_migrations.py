"""Databases of every earlier version are brought up to date, and earlier code works beside what is new."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from chatserver.errors import StartRefused
from chatserver.generation.principal import Principal
from chatserver.generation.states import Status
from chatserver.storage.keys import Repeats
from chatserver.storage.migration import prepare_server, upgrade_file, upgrade_server
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.tables import metadata
from tests.contract.storage.schema import insert_first_rows, on, revisions, tables_of, upgrade_to
from tests.contract.storage.store import key, opened

_ALICE = Principal("home", "alice")
_OPTIONS = DatabaseOptions()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request, tmp_path) -> Path | str:
    """The address of a database that nobody has ever used."""
    return (
        tmp_path / "new.db" if request.param == "sqlite" else request.getfixturevalue("new_server_database")
    )


@pytest.fixture
def new_server_database(postgres):
    name = postgres.create()
    yield postgres.address(name)
    postgres.drop(name)


async def bring_up_to_date(address: Path | str) -> None:
    if isinstance(address, Path):
        await asyncio.to_thread(upgrade_file, address, 1)
    else:
        await upgrade_server(address, _OPTIONS)


async def check_first_rows(address: Path | str) -> None:
    async with opened(address) as store:
        conversation = await store.conversations.get(_ALICE, "conv_1")
        assert (conversation.title, conversation.leaf, conversation.change) == ("Trips", "msg_2", 7)
        branch = await store.messages.branch(_ALICE, "conv_1", None, None, 10)
        assert [(each.id, each.content, each.status) for each in branch.items] == [
            ("msg_1", "Hello?", Status.COMPLETED),
            ("msg_2", "Hi.", Status.COMPLETED),
        ]
        transcript = await store.messages.transcript("conv_1", "msg_2", 10)
        assert [each.content for each in transcript.said] == ["Hi.", "Hello?"]
        assert [each.id for each in await store.generations.unfinished("", 50)] == ["gen_2"]
        assert (await store.generations.text_so_far("gen_2")).answer == "So far"
        ended = await store.generations.get(_ALICE, "gen_1")
        assert (ended.result, ended.usage.completion_tokens) == ("Hi.", 5)
        assert (await Repeats(store.database).find(_ALICE, key("k"), 1000)).body == b"{}"
        # It goes on from there.
        accepted = await store.turn("conv_1", principal=_ALICE)
        assert (accepted.message.parent, accepted.message.change) == ("msg_2", 8)


@pytest.mark.parametrize("revision", revisions())
async def test_what_the_first_version_wrote_is_read_after_an_upgrade_from_any(new_database, revision) -> None:
    await on(new_database, upgrade_to("0001"))
    await on(new_database, insert_first_rows)
    await on(new_database, upgrade_to(revision))
    await bring_up_to_date(new_database)
    await check_first_rows(new_database)


async def test_the_first_version_can_write_and_read_beside_the_newest_tables(new_database) -> None:
    await on(new_database, upgrade_to("0001"))
    first = await on(new_database, tables_of)
    await bring_up_to_date(new_database)
    await on(new_database, insert_first_rows)

    def read(connection) -> None:
        for table in first.values():
            assert connection.execute(table.select()).all()

    await on(new_database, read)
    await check_first_rows(new_database)


async def test_an_empty_database_is_set_up_at_once(new_database) -> None:
    async with opened(new_database) as store:
        await store.conversation()


async def test_the_migrations_lead_to_the_tables_that_the_code_describes(postgres_database) -> None:
    def compare(connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    assert await on(postgres_database, compare) == []


async def test_every_foreign_key_has_an_index_to_follow_it_back(database) -> None:
    def look(connection) -> set[tuple[str, str]]:
        inspector = inspect(connection)
        missing = set()
        for table in metadata.tables:
            first = {index["column_names"][0] for index in inspector.get_indexes(table)}
            first.add(inspector.get_pk_constraint(table)["constrained_columns"][0])
            first |= {unique["column_names"][0] for unique in inspector.get_unique_constraints(table)}
            keys = {each["constrained_columns"][0] for each in inspector.get_foreign_keys(table)}
            missing |= {(table, column) for column in keys - first}
        return missing

    assert await on(database, look) == set()


async def test_ids_are_compared_byte_by_byte_on_a_server(postgres_database) -> None:
    def look(connection) -> set[str]:
        found = connection.execute(
            text(
                "SELECT table_name || '.' || column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND data_type = 'text' AND column_name IN ('id', 'parent')"
                # Instances are in no order.
                " AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'instances'"
            )
        )
        return set(found.scalars())

    assert await on(postgres_database, look) == set()


async def test_a_server_with_an_older_database_is_stopped_with_a_sentence(new_server_database) -> None:
    await on(new_server_database, upgrade_to("0001"))
    with pytest.raises(StartRefused, match=r"is older than this version .* with: chatserver migrate$"):
        async with opened(new_server_database):
            pass
    await upgrade_server(new_server_database, _OPTIONS)
    await prepare_server(new_server_database, _OPTIONS)


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(new_server_database, postgres) -> None:
    await prepare_server(new_server_database, _OPTIONS)
    name = new_server_database.rpartition("/")[2]
    postgres.sql("UPDATE alembic_version SET version_num = '9999'", name)
    for bring in (prepare_server, upgrade_server):
        with pytest.raises(StartRefused, match=r"was written by a newer version .* 9999"):
            await bring(new_server_database, _OPTIONS)


async def test_of_many_who_migrate_at_once_one_does_the_work(new_server_database) -> None:
    await on(new_server_database, upgrade_to("0001"))
    await asyncio.gather(*(upgrade_server(new_server_database, _OPTIONS) for _ in range(5)))
    await prepare_server(new_server_database, _OPTIONS)


async def test_a_table_in_use_is_not_waited_for_while_all_others_wait(new_server_database) -> None:
    await on(new_server_database, upgrade_to("0001"))
    connection = await asyncpg.connect(new_server_database)
    try:
        await connection.execute("BEGIN; SELECT FROM messages")
        with pytest.raises(StartRefused, match="lock timeout"):
            await upgrade_server(new_server_database, DatabaseOptions(lock_wait_s=0.1))
    finally:
        await connection.close()
    await upgrade_server(new_server_database, _OPTIONS)
