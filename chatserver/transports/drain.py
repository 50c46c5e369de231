"""The end of the process, as its readers see it: each is told once, and leaves in its own way."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Drain:
    def __init__(self) -> None:
        #: Readers have to go now.
        self.over = False
        self._readers: set[Callable[[], None]] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()

    @property
    def readers(self) -> int:
        return len(self._readers)

    @contextmanager
    def reading(self, tell: Callable[[], None]) -> Iterator[None]:
        """Count a reader, and wake it when it has to go."""
        self._readers.add(tell)
        self._nobody.clear()
        try:
            yield
        finally:
            self._readers.discard(tell)
            if not self._readers:
                self._nobody.set()

    async def nobody(self) -> None:
        """Wait until no reader is left."""
        await self._nobody.wait()

    def finish(self) -> None:
        self.over = True
        for tell in list(self._readers):
            tell()
