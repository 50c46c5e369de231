"""Waiting for a store that is away: all runs wait, ever longer, and one line says so for all of them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import structlog

from chatserver.errors import BackplaneUnavailable, StoreUnavailable
from chatserver.generation.clock import Clock
from chatserver.storage.command import Command
from chatserver.storage.writer import Writer

#: Pauses before the store is asked again, in seconds: at first, and at most.
_FIRST_S = 0.25
_LONGEST_S = 5
#: Seconds after which it is said once more that the store is still away.
_SAY_EVERY_S = 60

log = structlog.get_logger()

R = TypeVar("R")


class Patience:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Since when the store has been away, and when that was said last.
        self._away: float | None = None
        self._said = 0.0

    async def ask(self, what: str, ask: Callable[[], Awaitable[R]]) -> R:
        """Ask the store until it answers."""
        pauses = _pauses()
        while True:
            try:
                answer = await ask()
            except (StoreUnavailable, BackplaneUnavailable):
                self._still_away(what)
                await asyncio.sleep(next(pauses))
            else:
                self._is_back()
                return answer

    def _still_away(self, what: str) -> None:
        now = self._clock.now()
        if self._away is None:
            self._away = now
        elif now - self._said < _SAY_EVERY_S:
            return
        self._said = now
        log.warning("store_unavailable", waiting=what, since_s=round(now - self._away))

    def _is_back(self) -> None:
        if self._away is not None:
            log.info("store_back", after_s=round(self._clock.now() - self._away))
            self._away = None


@dataclass(frozen=True)
class PatientWriter:
    """The writer, for what has to be written however long that takes."""

    writer: Writer
    patience: Patience

    async def try_once(self, command: Command[R]) -> R:
        return await self.writer.submit(command)

    async def submit(self, command: Command[R]) -> R:
        return await self.patience.ask(type(command).__name__, lambda: self.writer.submit(command))


def _pauses() -> Iterator[float]:
    """Twice as long each time, with jitter, so that not all of them come back at once."""
    pause = _FIRST_S
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        pause = min(2 * pause, _LONGEST_S)
