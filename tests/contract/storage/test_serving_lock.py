"""The lock by which a PostgreSQL database serves one process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import structlog

from chatserver.errors import Displaced, StartRefused
from chatserver.storage import serving_lock
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.serving_lock import ServingLock
from tests.harness.postgres import Postgres

_OPTIONS = DatabaseOptions(connect_wait_s=1, statement_wait_s=0.2)
#: Seconds in which everything here must have happened.
_PATIENCE_S = 20
#: In one database: others serve others meanwhile.
_HOLDERS = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(serving_lock, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(serving_lock, "_ASK_EVERY_S", 0.1)


def lock(address: str, wait_s: float = 0) -> ServingLock:
    return ServingLock(address, _OPTIONS, wait_s)


@asynccontextmanager
async def kept(address: str) -> AsyncIterator[asyncio.Task[None]]:
    async with lock(address) as held:
        keeping = asyncio.create_task(held.keep())
        yield keeping
        keeping.cancel()
        with suppress(asyncio.CancelledError, Displaced):
            await keeping


def name_of(address: str) -> str:
    return address.rpartition("/")[2]


def cut(postgres: Postgres, database: str) -> None:
    postgres.sql(f"SELECT pg_terminate_backend(pid) FROM ({_HOLDERS}) AS holders", database)


async def taken_again(postgres: Postgres, database: str, before: list[list[str]]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while (holders := await asyncio.to_thread(postgres.sql, _HOLDERS, database)) in ([], before):
            pass
    assert len(holders) == 1


async def test_a_second_process_is_refused_in_a_sentence_without_the_password(postgres_database) -> None:
    async with lock(postgres_database):
        with pytest.raises(StartRefused) as refusal:
            async with lock(postgres_database):
                pass
    assert "is in use by another process (at 127.0.0.1); stop that one first" in refusal.value.detail
    assert ":***@" in refusal.value.detail
    async with lock(postgres_database):
        pass


async def test_a_second_process_waits_while_the_first_ends(postgres_database) -> None:
    async with lock(postgres_database):
        second = lock(postgres_database, wait_s=_PATIENCE_S)
        waiting = asyncio.create_task(second.__aenter__())
        await asyncio.sleep(0.1)
        assert not waiting.done()
    async with asyncio.timeout(_PATIENCE_S):
        await waiting
    await second.__aexit__()


async def test_databases_of_one_server_have_locks_of_their_own(
    postgres, postgres_template, postgres_database
) -> None:
    name = postgres.create(postgres_template)
    async with lock(postgres_database), lock(postgres.address(name)):
        pass
    postgres.drop(name)


async def test_a_lock_whose_connection_is_cut_is_taken_again(postgres, postgres_database) -> None:
    async with kept(postgres_database) as keeping:
        before = postgres.sql(_HOLDERS, name_of(postgres_database))
        with structlog.testing.capture_logs() as lines:
            cut(postgres, name_of(postgres_database))
            await taken_again(postgres, name_of(postgres_database), before)
        assert not keeping.done()
        with pytest.raises(StartRefused):
            await lock(postgres_database).__aenter__()
        assert lines[0]["event"] == "database_lock_lost"


async def test_a_connection_that_is_dead_without_a_word_is_noticed(postgres, postgres_database) -> None:
    async with kept(postgres_database) as keeping:
        before = postgres.sql(_HOLDERS, name_of(postgres_database))
        with structlog.testing.capture_logs() as lines, postgres.frozen(int(before[0][0])):
            async with asyncio.timeout(_PATIENCE_S):
                while not lines:  # noqa: ASYNC110 - it tells nobody but the log
                    await asyncio.sleep(0.01)
        await taken_again(postgres, name_of(postgres_database), before)
        assert not keeping.done()


async def test_who_finds_another_in_its_place_is_told(postgres, postgres_database) -> None:
    async with kept(postgres_database) as keeping:
        # Waits on the server, so it has the lock as soon as that is free.
        other = await serving_lock.connect(postgres_database, DatabaseOptions())
        ours = f"{serving_lock.OUR_LOCKS}, {serving_lock.SERVING_LOCK}"
        waiting = asyncio.create_task(other.execute(f"SELECT pg_advisory_lock({ours})"))
        async with asyncio.timeout(_PATIENCE_S):
            while len(await asyncio.to_thread(postgres.sql, _HOLDERS, name_of(postgres_database))) < 2:
                pass
        await asyncio.to_thread(
            postgres.sql,
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted",
        )
        await waiting
        with pytest.raises(Displaced, match=r"\(at 127\.0\.0\.1\) serves this database now\."):
            async with asyncio.timeout(_PATIENCE_S):
                await keeping
        await other.close()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://a:hunter2@127.0.0.1:1/chat", "Connect call failed"),
        ("postgresql://a:hunter2@127.0.0.1:port/chat", "invalid literal"),
        ("postgresql://a:hunter2@127.0.0.1:1/chat?sslmode=nonsense", "sslmode"),
    ],
)
async def test_a_server_that_can_not_be_reached_is_told_in_a_sentence(address, said) -> None:
    with pytest.raises(StartRefused, match=said) as refusal:
        await lock(address).__aenter__()
    assert "hunter2" not in refusal.value.detail
