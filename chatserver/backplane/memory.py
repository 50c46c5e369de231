"""Instances within one process: usually one, which has nobody to share with; as many as a test needs."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chatserver.backplane.port import Appending, Heard, Refused, Told
from chatserver.errors import StaleEpoch
from chatserver.generation.merge import Appended, Hint, History, Opened
from chatserver.generation.pieces import Piece
from chatserver.generation.position import Position


@dataclass(slots=True)
class _Log:
    epochs: list[Position]
    pieces: list[Piece] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        return self.epochs[-1].epoch

    @property
    def complete(self) -> bool:
        """Its owner isn't still putting it back."""
        return len(self.pieces) >= self.epochs[-1].n


class Hub:
    """What the instances of one process have in common."""

    def __init__(self) -> None:
        self.members = 0
        self.logs: dict[str, _Log] = {}
        self._hearing: defaultdict[str, list[Callable[[Any], None]]] = defaultdict(list)

    @contextmanager
    def hearing(self, channel: str, heard: Callable[[Any], None]) -> Iterator[None]:
        self._hearing[channel].append(heard)
        _later(heard, None)
        try:
            yield
        finally:
            self._hearing[channel].remove(heard)
            if not self._hearing[channel]:
                del self._hearing[channel]

    def tell(self, channel: str, hint: Hint | str) -> None:
        for heard in self._hearing.get(channel, ()):
            _later(heard, hint)


class MemoryBackplane:
    connected = True

    def __init__(self, hub: Hub | None = None) -> None:
        self._hub = hub or Hub()
        self._hub.members += 1

    @property
    def alone(self) -> bool:
        return self._hub.members == 1

    async def open(self, generation: str, epochs: Sequence[Position]) -> None:
        log = self._hub.logs.get(generation)
        if log is not None and log.epoch > epochs[-1].epoch:
            raise StaleEpoch(f"Epoch {log.epoch} of {generation} has begun.")
        if log is None or log.epoch < epochs[-1].epoch:
            self._hub.logs[generation] = _Log(list(epochs))

    async def append(self, batch: Sequence[Appending]) -> Sequence[int | Refused]:
        return [self._append(appending) for appending in batch]

    async def take(self, generation: str, epoch: int) -> History | None:
        log = self._hub.logs.get(generation)
        if log is None or not log.complete:
            return None
        if log.epoch > epoch:
            raise StaleEpoch(f"Epoch {log.epoch} of {generation} has begun.")
        if log.epoch < epoch:
            log.epochs.append(Position(epoch, len(log.pieces)))
            self._hub.tell(_channel(generation), Opened(epoch, len(log.pieces)))
        return _history(log)

    async def history(self, generation: str) -> History | None:
        log = self._hub.logs.get(generation)
        return _history(log) if log is not None and log.complete else None

    async def tops(self, generations: Sequence[str]) -> Sequence[Position | None]:
        logs = (self._hub.logs.get(generation) for generation in generations)
        return [Position(log.epoch, len(log.pieces)) if log else None for log in logs]

    @contextmanager
    def follow(self, generation: str, heard: Heard) -> Iterator[None]:
        with self._hub.hearing(_channel(generation), heard):
            yield

    def publish(self, topic: str, text: str) -> None:
        self._hub.tell(topic, text)

    @contextmanager
    def listen(self, topic: str, told: Told) -> Iterator[None]:
        with self._hub.hearing(topic, told):
            yield

    def _append(self, appending: Appending) -> int | Refused:
        log = self._hub.logs.get(appending.generation)
        if log is None or log.epoch < appending.epoch:
            return Refused.GONE
        if log.epoch > appending.epoch:
            return Refused.FENCED
        known = len(log.pieces) - appending.first + 1
        fresh = tuple(appending.pieces[known:]) if known >= 0 else ()
        if fresh:
            first = Position(log.epoch, len(log.pieces) + 1)
            log.pieces.extend(fresh)
            self._hub.tell(_channel(appending.generation), Appended(first, fresh))
        return len(log.pieces)


def _history(log: _Log) -> History:
    return History(tuple(log.epochs), tuple(log.pieces))


def _channel(generation: str) -> str:
    return f"log {generation}"


def _later(heard: Callable[[Any], None], hint: Any) -> None:
    # Never in the middle of what its cause is doing.
    asyncio.get_running_loop().call_soon(heard, hint)
