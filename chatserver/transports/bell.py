"""What a connection waits for: one bell for everything it follows, and a pulse for its heartbeats."""

import asyncio
from collections.abc import Callable
from typing import Self


class Bell:
    """Wakes the one task that waits; a ring that finds nobody waiting is remembered.

    An asyncio.Event for one waiter, which needs no queue of futures: it rings for every token.
    """

    __slots__ = ("_loop", "_rung", "_waiter")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def has_waiter(self) -> bool:
        """Somebody waits, and has no reason yet to wake."""
        return self._waiter is not None and not self._waiter.done()

    def ring(self) -> None:
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        if not self._rung:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._rung = False


class Pulse:
    """Rings every so many seconds while it is open, and says that it was the one who rang."""

    def __init__(self, seconds: float, ring: Callable[[], None]) -> None:
        self._seconds = seconds
        self._ring = ring
        self._due = False

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._beat)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def take(self) -> bool:
        due, self._due = self._due, False
        return due

    def _beat(self) -> None:
        self._due = True
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._beat)
        self._ring()
