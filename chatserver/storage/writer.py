"""The one writer of the process: everything that waits is committed in one transaction."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Self, TypeVar

import structlog

from chatserver.errors import StoreUnavailable
from chatserver.storage.command import Command, Transaction
from chatserver.storage.connection import Connection
from chatserver.storage.database import Database

log = structlog.get_logger()

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class WriterOptions:
    #: Commands that share one transaction at most.
    max_group: int = 256
    #: Commands that wait at most; more are refused at once.
    max_waiting: int = 10_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    command: Command[Any]
    #: Gets the result. Its caller may have gone away; the command is carried out all the same.
    answer: asyncio.Future[Any]


class Writer:
    """`async with Writer(...) as writer`; leaving carries out what was submitted before.

    What waits together is concurrent: it is carried out kind by kind, in order within a kind.
    """

    def __init__(
        self,
        database: Database,
        options: WriterOptions,
        *,
        on_commit: Callable[[list[tuple[str, int]]], None],
        observe: Callable[[int, float], None],
    ) -> None:
        """`on_commit` gets each changed conversation with its newest change number.

        It is called before those who submitted are answered; `observe` gets a group's size and seconds.
        """
        self._database = database
        self._options = options
        self._on_commit = on_commit
        self._observe = observe
        self._waiting: deque[_Waiting] = deque()
        #: Set while there is something to do, or the end has come.
        self._news = asyncio.Event()
        self._closing = False
        #: Some writes were refused since the last one that was carried out: what became of them isn't known.
        self._in_doubt = False
        self._recovered = asyncio.Event()
        #: Watched by the owner: it ends only when the writer is left.
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._run(), name="storage-writer")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._news.set()
        if self.task is not None:
            await self.task

    async def recovery(self) -> None:
        """Wait until something is written again after writes were refused.

        A write whose answer got lost may have been carried out although it was refused.
        """
        await self._recovered.wait()
        self._recovered.clear()

    async def submit(self, command: Command[R]) -> R:
        """Carry it out; once this waits, it is carried out even if the caller goes away."""
        if self._closing or self.task is None or self.task.done():
            raise StoreUnavailable
        if len(self._waiting) >= self._options.max_waiting:
            raise StoreUnavailable("Too much waits to be written; nothing was stored, try again in a moment.")
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(command, answer))
        self._news.set()
        return await answer

    async def _run(self) -> None:
        group: list[_Waiting] = []
        try:
            while await self._next():
                group = self._take()
                try:
                    await self._write(group)
                except StoreUnavailable as error:
                    self._in_doubt = True
                    self._refuse(group, type(error))
                    # Those behind would fare no better, and each try may take as long as a lock may.
                    self._refuse(self._take_all())
        finally:
            # Nothing is left here, unless this task itself was stopped or has failed.
            self._refuse([*group, *self._take_all()])

    async def _next(self) -> bool:
        """Wait for something to do; False when nothing more will come."""
        if not self._waiting and not self._closing:
            self._news.clear()
            await self._news.wait()
        # Those who were told to go on in the same turn of the loop come along: a group of one costs as much
        # as half of a group of sixty.
        await asyncio.sleep(0)
        return bool(self._waiting)

    async def _write(self, group: list[_Waiting], *, last_try: bool = False) -> None:
        began = perf_counter()
        try:
            results, changes = await self._commit([waiting.command for waiting in group])
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns one command, not the writer
            if last_try:
                _answer(group[0], error)
            else:
                if len(group) > 1:
                    # Right, but slow: whatever makes many of them fail has to be seen.
                    log.warning("group_failed", commands=len(group), error=type(error).__name__)
                await self._write_each(group)
            return
        self._observe(len(group), perf_counter() - began)
        if self._in_doubt:
            self._in_doubt = False
            self._recovered.set()
        try:
            self._on_commit(changes)
        finally:
            for waiting, result in zip(group, results, strict=True):
                _answer(waiting, result)

    async def _write_each(self, group: list[_Waiting]) -> None:
        """Nothing of the group was stored; each gets a transaction of its own, so that only one fails.

        One alone too is tried once more: what it didn't find another process may have written meanwhile.
        """
        for waiting in group:
            await self._write([waiting], last_try=True)

    async def _commit(self, commands: Sequence[Command[Any]]) -> tuple[list[Any], list[tuple[str, int]]]:
        results: dict[int, Any] = {}
        changes: dict[str, int] = {}

        async def handle(connection: Connection) -> None:
            transaction = Transaction(connection, changes)
            for kind, places in _by_kind(commands).items():
                answers = await kind.handle(transaction, [commands[place] for place in places])
                results.update(zip(places, answers, strict=True))

        await self._database.write(handle)
        return [results[place] for place in range(len(commands))], list(changes.items())

    def _take(self) -> list[_Waiting]:
        size = min(len(self._waiting), self._options.max_group)
        return [self._waiting.popleft() for _ in range(size)]

    def _take_all(self) -> list[_Waiting]:
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def _refuse(self, group: list[_Waiting], error: type[StoreUnavailable] = StoreUnavailable) -> None:
        for waiting in group:
            _answer(waiting, error())


def _by_kind(commands: Sequence[Command[Any]]) -> dict[type[Command[Any]], list[int]]:
    """The places of the commands of each kind, the kinds in the order of their first command."""
    places: dict[type[Command[Any]], list[int]] = {}
    for place, command in enumerate(commands):
        places.setdefault(type(command), []).append(place)
    return places


def _answer(waiting: _Waiting, result: Any) -> None:
    # Done already when its caller has gone away.
    if waiting.answer.done():
        return
    if isinstance(result, Exception):
        waiting.answer.set_exception(result)
    else:
        waiting.answer.set_result(result)
