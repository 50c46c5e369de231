import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from chatserver.errors import ChatserverError, NotFound, StoreUnavailable
from chatserver.storage.command import Command, Transaction
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.records import Accepted, Created
from chatserver.storage.writer import WriterOptions
from tests.contract.storage.store import ALICE, Store, begin, finish, opened, turn, wait_inside


@dataclass(frozen=True)
class Hold(Command[None]):
    """Keeps the writer busy until it is let go, so that others wait together."""

    begun: threading.Event
    go: threading.Event

    @classmethod
    async def handle(cls, transaction: Transaction, commands: Sequence["Hold"]) -> list[None]:
        for command in commands:
            command.begun.set()
            await wait_inside(transaction.connection, command.go)
        return [None] * len(commands)


@dataclass(frozen=True)
class Bound(Command[None]):
    """Sets how many pages the file may have: what is beyond is a full disk to SQLite."""

    pages: int

    @classmethod
    async def handle(cls, transaction: Transaction, commands: Sequence["Bound"]) -> list[None]:
        for command in commands:
            await transaction.connection.execute(text(f"PRAGMA max_page_count = {command.pages}"))
        return [None] * len(commands)


class Holding:
    """`async with Holding(store):` lets what is submitted inside wait together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hold = Hold(threading.Event(), threading.Event())

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._store.submit(self._hold))
        assert await asyncio.to_thread(self._hold.begun.wait, 5)

    async def __aexit__(self, *_: object) -> None:
        # Whoever was started in here gets to submit before the writer goes on.
        await asyncio.sleep(0)
        self._hold.go.set()
        await self._task


@pytest.fixture
async def impatient(database_file) -> AsyncIterator[Store]:
    async with opened(database_file, DatabaseOptions(lock_wait_s=0.02)) as store:
        yield store


async def test_what_waits_is_committed_together_in_bounded_groups(database) -> None:
    async with opened(database, writing=WriterOptions(max_group=40)) as store:
        async with Holding(store):
            waiting = [asyncio.create_task(store.conversation()) for _ in range(100)]
        made = await asyncio.gather(*waiting)
        assert store.groups == [1, 40, 40, 20]
        assert [len(changes) for changes in store.commits] == [0, 40, 40, 20]
        page = await store.conversations.page(ALICE, 100, None)
        assert sorted(each.id for each in page.items) == sorted(each.id for each in made)


async def test_who_comes_while_the_writer_wakes_is_written_along(store) -> None:
    first = asyncio.create_task(store.conversation())
    await asyncio.sleep(0)
    # Submitted by now; the writer is told, and hasn't gone on yet.
    await asyncio.gather(first, store.conversation())
    assert store.groups == [2]


async def test_a_turn_and_what_it_needs_can_wait_together(store) -> None:
    command = begin()
    created, accepted = await asyncio.gather(store.submit(command), store.submit(turn(command.id)))
    assert store.groups == [2]
    assert store.commits == [[(command.id, 5)]]
    assert accepted.message.conversation == created.conversation.id


async def test_more_than_may_wait_is_refused_at_once(database) -> None:
    async with opened(database, writing=WriterOptions(max_waiting=2)) as store:
        async with Holding(store):
            waiting = [asyncio.create_task(store.conversation()) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(StoreUnavailable):
                await store.conversation()
        await asyncio.gather(*waiting)


async def test_who_goes_away_while_waiting_does_not_take_the_command_along(store) -> None:
    command = begin()
    async with Holding(store):
        waiting = asyncio.create_task(store.submit(command))
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    # The writer takes its commands in order, so the one before is done.
    await store.conversation()
    assert (await store.conversations.get(ALICE, command.id)).id == command.id


async def test_watchers_are_told_before_the_submitters(database) -> None:
    waiting: list[asyncio.Task[object]] = []
    answered: list[bool] = []

    def committed() -> None:
        answered.extend(task.done() for task in waiting)

    async with opened(database, on_commit=committed) as store:
        waiting += [asyncio.create_task(store.conversation()) for _ in range(3)]
        await asyncio.gather(*waiting)
    assert answered == [False] * 3


async def test_only_the_guilty_fails(store) -> None:
    conversations = [await store.conversation() for _ in range(3)]
    taken = (await store.turn(conversations[0])).generation.id
    before = len(store.groups)
    results = await asyncio.gather(
        store.turn(conversations[1]),
        store.turn(conversations[2], generation_id=taken),
        store.submit(begin(title="\ud800")),
        store.submit(begin(title="Good")),
        return_exceptions=True,
    )
    assert [type(result) for result in results[:2]] == [Accepted, ChatserverError]
    # What can't be written as UTF-8 is refused by one driver itself, by the other through the store.
    assert isinstance(results[2], UnicodeEncodeError | ChatserverError)
    assert isinstance(results[3], Created)
    assert store.groups[before:] == [1, 1]
    assert (await store.conversations.get(ALICE, conversations[2].id)).change == 1


async def test_errors_of_the_driver_do_not_carry_what_people_wrote(store) -> None:
    accepted = await store.turn(await store.conversation(), "Secret words")
    twice = turn(await store.conversation(), "Secret words", generation_id=accepted.generation.id)
    with pytest.raises(ChatserverError) as failure:
        await store.submit(twice)
    assert failure.value.__cause__ is not None
    assert "Secret words" not in f"{failure.value.__cause__}"


async def test_a_locked_file_refuses_all_that_waits_and_then_recovers(impatient, database_file) -> None:
    store = impatient
    conversation = await store.conversation()
    with closing(sqlite3.connect(database_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        results = await asyncio.gather(store.turn(conversation), store.conversation(), return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailable] * 2
        # Reading goes on meanwhile.
        assert (await store.conversations.get(ALICE, conversation.id)).change == 1
        other.execute("ROLLBACK")
    accepted = await store.turn(conversation)
    assert await store.submit(finish(accepted.generation))


async def test_whoever_waits_for_the_recovery_is_told_by_the_first_write_after_a_refusal(
    impatient, database_file
) -> None:
    recovery = asyncio.create_task(impatient.writer.recovery())
    await impatient.conversation()
    with closing(sqlite3.connect(database_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await impatient.conversation()
        other.execute("ROLLBACK")
    assert not recovery.done()
    await impatient.conversation()
    await recovery


async def test_a_full_disk_stores_nothing_and_recovers(file_store) -> None:
    store = file_store
    conversation = await store.conversation()
    await store.submit(Bound(pages=1))
    results = await asyncio.gather(
        *(store.turn(conversation, "long " * 10_000, parent=None) for _ in range(3)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    assert (await store.conversations.get(ALICE, conversation.id)).change == 1
    await store.submit(Bound(pages=1_000_000))
    assert (await store.turn(conversation)).message.change == 2


async def test_leaving_carries_out_what_was_submitted_before(database) -> None:
    commands = [begin() for _ in range(10)]
    async with opened(database) as store:
        waiting = [asyncio.create_task(store.submit(command)) for command in commands]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    with pytest.raises(StoreUnavailable):
        await store.submit(begin())
    async with opened(database) as store:
        for command in commands:
            await store.conversations.get(ALICE, command.id)


async def test_the_task_that_writes_can_be_watched(store) -> None:
    assert store.writer.task.get_name() == "storage-writer"
    assert not store.writer.task.done()


async def test_a_failing_listener_ends_the_writer_but_nothing_is_left_unanswered(database) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async def submit_some() -> None:
        async with opened(database, on_commit=fail) as store:
            async with Holding(store):
                waiting = [asyncio.create_task(store.conversation()) for _ in range(2)]
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(result) for result in results] == [StoreUnavailable] * 2
            with pytest.raises(StoreUnavailable):
                await store.conversation()

    with pytest.raises(ZeroDivisionError):
        await submit_some()


async def test_a_refusal_is_no_failure_of_the_group(store) -> None:
    await asyncio.gather(store.conversation(), store.turn("conv_missing"), return_exceptions=True)
    assert store.groups == [2]
    with pytest.raises(NotFound):
        await store.turn("conv_missing")
