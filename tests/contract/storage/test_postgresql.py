"""What holds for PostgreSQL alone: deadlines, connections that are cut, errors that quote nobody."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from chatserver.commands.checks import check_database
from chatserver.errors import ChatserverError, StoreInDoubt, StoreUnavailable
from chatserver.settings import load
from chatserver.storage.command import Command, Transaction
from chatserver.storage.options import DatabaseOptions
from tests.contract.storage.store import ALICE, begin, opened
from tests.harness.postgres import Postgres

_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'chatserver'"
_IMPATIENT = DatabaseOptions(read_wait_s=0.5, lock_wait_s=0.3, connect_wait_s=0.5, statement_wait_s=0.3)


async def test_connections_that_were_cut_are_opened_anew_unnoticed(postgres, postgres_database) -> None:
    async with opened(postgres_database) as store:
        conversation = await store.conversation()
        assert await store.conversations.get(ALICE, conversation.id) == conversation
        postgres.sql(f"SELECT pg_terminate_backend(pid) FROM ({_SESSIONS}) AS sessions")
        # Asked in a thread, so that the event loop hears of their ends meanwhile.
        while await asyncio.to_thread(postgres.sql, _SESSIONS):
            pass
        await asyncio.to_thread(postgres.sql, "SELECT 1")
        await store.conversation()
        assert await store.conversations.get(ALICE, conversation.id) == conversation
        assert len((await store.conversations.page(ALICE, 10, None)).items) == 2


async def test_only_what_takes_several_queries_takes_a_transaction(postgres_database) -> None:
    # Ours are of a kind that a single statement isn't.
    kind = text("SHOW transaction_isolation")
    async with opened(postgres_database) as store:
        assert (await store.database.rows(kind))[0][0] == "read committed"
        assert await store.database.read(lambda connection: connection.scalar(kind)) == "repeatable read"


async def test_no_statement_is_compiled_which_takes_longer_than_any_of_them(postgres_database) -> None:
    async with opened(postgres_database) as store:
        assert (await store.database.rows(text("SHOW jit")))[0][0] == "off"


@dataclass(frozen=True)
class CutBeforeItsCommit(Command[None]):
    """Does its work, and then the connection ends before the commit is answered."""

    postgres: Postgres

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["CutBeforeItsCommit"]
    ) -> Sequence[None]:
        [(pid,)] = await transaction.connection.execute(text("SELECT pg_backend_pid()"))
        sql = commands[0].postgres.sql
        await asyncio.to_thread(sql, f"SELECT pg_terminate_backend({pid}, 5000)")
        return [None] * len(commands)


async def test_of_what_was_being_committed_nobody_says_that_it_was_not_stored(
    postgres, postgres_database
) -> None:
    async with opened(postgres_database) as store:
        with pytest.raises(StoreInDoubt) as raised:
            await store.submit(CutBeforeItsCommit(postgres))
        assert raised.value.status == 504
        await store.conversation()


async def test_a_server_that_says_nothing_is_unavailable_in_time_and_recovers(
    postgres, postgres_database
) -> None:
    async with opened(postgres_database, _IMPATIENT) as store:
        conversation = await store.conversation()
        await store.conversations.get(ALICE, conversation.id)
        began = time.monotonic()
        with postgres.frozen(*(int(pid) for (pid,) in postgres.sql(_SESSIONS))):
            results = await asyncio.gather(
                store.conversation(),
                store.conversations.get(ALICE, conversation.id),
                return_exceptions=True,
            )
            assert [type(result) for result in results] == [StoreUnavailable] * 2
        assert time.monotonic() - began < 10
        await store.conversation()
        assert await store.conversations.get(ALICE, conversation.id) == conversation


async def test_a_server_that_says_nothing_is_left_at_once_and_without_a_word(
    postgres, postgres_database, caplog
) -> None:
    with ExitStack() as frozen:
        async with opened(postgres_database, _IMPATIENT) as store:
            conversation = await store.conversation()
            await store.conversations.get(ALICE, conversation.id)
            frozen.enter_context(postgres.frozen(*(int(pid) for (pid,) in postgres.sql(_SESSIONS))))
            began = time.monotonic()
        # The driver waits for more than a second before it gives up a statement.
        assert time.monotonic() - began < 1
    assert caplog.records == []
    while await asyncio.to_thread(postgres.sql, _SESSIONS):
        pass


async def test_a_row_that_is_locked_is_waited_for_only_so_long(postgres_database) -> None:
    async with opened(postgres_database) as other, opened(postgres_database, _IMPATIENT) as store:
        conversation = await store.conversation()
        begun, go = asyncio.Event(), asyncio.Event()

        async def hold(connection) -> None:
            await connection.execute(text("SELECT id FROM conversations FOR UPDATE"))
            begun.set()
            await go.wait()

        holding = asyncio.create_task(other.database.write(hold))
        await begun.wait()
        with pytest.raises(StoreUnavailable):
            await store.turn(conversation)
        go.set()
        await holding
        assert await store.turn(conversation)


async def test_errors_quote_nothing_that_people_wrote(postgres_database) -> None:
    async with opened(postgres_database) as store:
        with pytest.raises(ChatserverError) as failure:
            await store.submit(begin(title="Secret \ud800 words"))
        shown = f"{failure.value!r} {failure.value.__cause__!r}"
        assert failure.value.__suppress_context__
        assert "Secret" not in shown


async def test_doctor_looks_at_the_database_and_says_what_to_do(postgres, postgres_database) -> None:
    def look(address: str):
        options = {"store.database_url": address, "server.secret": "x" * 32}
        return check_database(load(None, {}, options).settings)

    good = await asyncio.to_thread(look, postgres_database)
    assert good.good
    assert good.found.endswith("up to date.")
    missing = await asyncio.to_thread(look, postgres.address("nowhere"))
    assert 'database "nowhere" does not exist' in missing.found
    assert "CHATSERVER_DATABASE_URL" in missing.remedy
    database = postgres_database.rpartition("/")[2]
    (revision,) = postgres.sql("SELECT version_num FROM alembic_version", database)[0]
    postgres.sql("UPDATE alembic_version SET version_num = '0001'", database)
    older = await asyncio.to_thread(look, postgres_database)
    postgres.sql(f"UPDATE alembic_version SET version_num = '{revision}'", database)
    assert older.remedy == "Bring it up to date: chatserver migrate"
