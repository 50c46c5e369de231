"""Reads of one kind that are asked for together: one query finds what all of them look for."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Gathering(Generic[K, V]):
    """One read is on its way at a time; whoever comes meanwhile shares the next one."""

    def __init__(self, read: Callable[[Collection[K]], Awaitable[Mapping[K, V]]], most: int = 100) -> None:
        """`read` finds what there is of so many; `most` of them are asked for at once."""
        self._read = read
        self._most = most
        #: Who waits for what; each of them has come in through a request that is bounded elsewhere.
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        #: Ends when nobody waits any more.
        self._task: asyncio.Task[None] | None = None

    async def find(self, key: K) -> V | None:
        """Find it as it is now, or None where there is none."""
        found: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(found)
        if self._task is None:
            # It begins when all those have asked who are about to.
            self._task = asyncio.create_task(self._run(), name="gathering")
        return await found

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._answer(self._take())
        finally:
            self._task = None
            # Somebody waits here only where this task was stopped, with the process.
            for found in _open_in(self._waiting):
                found.cancel()
            self._waiting = {}

    def _take(self) -> dict[K, list[asyncio.Future[V | None]]]:
        keys = list(islice(self._waiting, self._most))
        return {key: self._waiting.pop(key) for key in keys}

    async def _answer(self, asked: Mapping[K, list[asyncio.Future[V | None]]]) -> None:
        try:
            rows = await self._read(asked.keys())
        except Exception as error:  # noqa: BLE001 - whatever it is, those who asked are told
            for found in _open_in(asked):
                found.set_exception(error)
            return
        for key, waiting in asked.items():
            for found in _open_in({key: waiting}):
                found.set_result(rows.get(key))


def _open_in(asked: Mapping[K, list[asyncio.Future[V | None]]]) -> list[asyncio.Future[V | None]]:
    """Give those who still wait: a caller may have gone away."""
    return [found for waiting in asked.values() for found in waiting if not found.done()]
