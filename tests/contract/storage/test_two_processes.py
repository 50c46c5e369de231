"""Two processes that are asked for the same at once, as by a client that went from one to the other."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from chatserver.storage.command import Transaction
from tests.contract.storage.store import Store, again, begin, finish, key, opened, reply, turn, work

_WAITING = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'chatserver' AND wait_event_type = 'Lock'"


@pytest.fixture
async def other(postgres_database) -> AsyncIterator[Store]:
    async with opened(postgres_database) as store:
        yield store


@pytest.fixture
async def here(postgres_database) -> AsyncIterator[Store]:
    async with opened(postgres_database) as store:
        yield store


async def _at_once(postgres, other: Store, first, here: Store, second) -> tuple:
    """Carry out `second` while the other process has carried out `first` and not committed it yet."""
    written, go = asyncio.Event(), asyncio.Event()

    async def handle(connection):
        result = (await type(first).handle(Transaction(connection, {}), [first]))[0]
        written.set()
        await go.wait()
        return result

    one = asyncio.create_task(other.database.write(handle))
    await written.wait()
    two = asyncio.create_task(here.submit(second))
    while not await asyncio.to_thread(postgres.sql, _WAITING):
        assert not two.done()
    go.set()
    return await one, await two


async def test_a_turn_is_accepted_once(postgres, other: Store, here: Store) -> None:
    conversation = await here.conversation()
    first, second = turn(conversation, idempotency=key("k")), turn(conversation, idempotency=key("k"))
    accepted, repeated = await _at_once(postgres, other, first, here, second)
    assert repeated == replace(accepted, replayed=reply(accepted))


async def test_another_answer_is_begun_once(postgres, other: Store, here: Store) -> None:
    conversation = await here.conversation()
    answered = await here.turn(conversation)
    await here.submit(finish(answered.generation))
    beside = answered.generation.message
    first, second = (again(conversation, beside, idempotency=key("k")) for _ in range(2))
    accepted, repeated = await _at_once(postgres, other, first, here, second)
    assert (repeated.generation, repeated.replayed) == (accepted.generation, reply(accepted))


async def test_work_is_handed_in_once(postgres, other: Store, here: Store) -> None:
    first, second = work(idempotency=key("k")), work(idempotency=key("k"))
    accepted, repeated = await _at_once(postgres, other, first, here, second)
    assert repeated == replace(accepted, replayed=reply(accepted))


async def test_a_conversation_is_begun_once(postgres, other: Store, here: Store) -> None:
    first, second = begin(idempotency=key("k")), begin(idempotency=key("k"))
    created, repeated = await _at_once(postgres, other, first, here, second)
    assert repeated == replace(created, replayed=reply(created.conversation))
