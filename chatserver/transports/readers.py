"""Who reads from this process: bounded in number, counted by transport, and told when the process ends."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chatserver.errors import Full
from chatserver.telemetry.metrics import Metrics, Transport

#: Seconds within which a long-poll that was answered asks again, if it ever does.
_ASKS_AGAIN_S = 2.0


class Readers:
    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._open: set[Callable[[], None]] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._polled_at = float("-inf")
        #: Readers have to go now.
        self.over = False

    def check_room(self) -> None:
        """Full when there are as many readers as may be."""
        if len(self._open) >= self._most:
            raise Full("This server has as many connections as it takes; try again in a moment.")

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def reading(
        self, transport: Transport, tell: Callable[[], None], *, expected: bool = False
    ) -> Iterator[None]:
        """Count a reader, and wake it when it has to go.

        One that is expected was checked before; what it reads has been accepted since.
        """
        if not expected:
            self.check_room()
        self._open.add(tell)
        self._nobody.clear()
        if self.over:
            tell()
        try:
            with self._metrics.connection(transport):
                yield
        finally:
            self._open.discard(tell)
            if transport == "longpoll":
                self._polled_at = asyncio.get_running_loop().time()
            if not self._open:
                self._nobody.set()

    async def gone(self) -> None:
        """Wait until no reader is left; one that polls is still there between two questions."""
        loop = asyncio.get_running_loop()
        while True:
            await self._nobody.wait()
            left = self._polled_at + _ASKS_AGAIN_S - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(left)

    def finish(self) -> None:
        self.over = True
        for tell in list(self._open):
            tell()
