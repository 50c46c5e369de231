"""Who reads from this process: bounded in number, counted by transport, and told when the process ends.

While it drains, those stay who read an answer that is being made here; everybody else goes at once.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chatserver.errors import Draining, Full
from chatserver.telemetry.metrics import Metrics, Transport

#: Seconds within which a long-poll that was answered asks again, if it ever does.
_ASKS_AGAIN_S = 2.0


class Readers:
    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._open: set[Callable[[], None]] = set()
        #: How many of them a drain waits for.
        self._awaited = 0
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._polled_at = float("-inf")
        #: Readers go as soon as they expect nothing more.
        self.draining = False
        #: Readers have to go now.
        self.over = False
        #: They are taken by other instances.
        self._elsewhere = False

    def check_room(self) -> None:
        """Full when there are as many readers as may be, Draining when other instances take them."""
        if self._elsewhere:
            # A proxy takes a refused one there at once; an ended one it would bring back here.
            raise Draining
        if len(self._open) >= self._most:
            sentence = "This server has as many connections as it takes; try again in a moment."
            raise Full(sentence, setting="connections")

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def reading(
        self, transport: Transport, tell: Callable[[], None], *, expected: bool = False, awaited: bool = True
    ) -> Iterator[None]:
        """Count a reader, and wake it when it has to go, at once or as soon as it may.

        One that is expected was checked before; what it reads has been accepted since. One that isn't
        awaited may stay until the end, but nobody waits for it.
        """
        if not expected:
            self.check_room()
        self._open.add(tell)
        self._await(awaited)
        if self.over or self.draining:
            tell()
        try:
            with self._metrics.connection(transport):
                yield
        finally:
            self._open.discard(tell)
            self._await(-awaited)

    def asks_again(self) -> None:
        """Take note that one who polls was answered, and will ask for the rest."""
        self._polled_at = asyncio.get_running_loop().time()

    async def gone(self) -> None:
        """Wait until nobody is left who is awaited; one that polls is still there between two questions."""
        loop = asyncio.get_running_loop()
        while True:
            await self._nobody.wait()
            left = self._polled_at + _ASKS_AGAIN_S - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(left)

    def drain(self) -> None:
        self.draining = True
        self._tell()

    def finish(self, *, elsewhere: bool = False) -> None:
        self.over, self._elsewhere = True, elsewhere
        self._tell()

    def _await(self, more: int) -> None:
        self._awaited += more
        if self._awaited:
            self._nobody.clear()
        else:
            self._nobody.set()

    def _tell(self) -> None:
        for tell in list(self._open):
            tell()
