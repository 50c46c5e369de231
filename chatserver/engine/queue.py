"""Who is next: the order in which waiting generations get a slot at a model."""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from chatserver.engine.slots import Slot
from chatserver.generation.states import Lane


@dataclass(frozen=True, slots=True)
class Waiting:
    """A generation that waits for a slot, and what to do once it has one."""

    generation: str
    model: str
    lane: Lane
    #: When it began to wait, by the monotonic clock.
    since: float
    start: Callable[[Slot], None]


class Order(Protocol):
    """The order of the queue; a fair one can stand here without anything else changing."""

    def __len__(self) -> int: ...

    def add(self, waiting: Waiting) -> None: ...

    def remove(self, generation: str) -> Waiting | None:
        """Take a generation out, wherever it stands."""

    def next(self, has_slot: Callable[[str], bool]) -> Waiting | None:
        """Take out whoever is next among those whose model has a slot."""

    def waits(self, lane: Lane) -> int: ...

    def oldest(self, lane: Lane) -> Waiting | None: ...

    def in_order(self) -> Iterator[Waiting]:
        """Go through all that wait, the next one first."""


class FirstCome:
    """First come, first served within a lane; background starts only when nothing interactive waits."""

    def __init__(self) -> None:
        self._ticket = count()
        #: By lane and model, so that a busy model costs the others nothing.
        self._lines: dict[Lane, dict[str, OrderedDict[int, Waiting]]] = {lane: {} for lane in Lane}
        self._places: dict[str, tuple[Waiting, int]] = {}
        self._waits = dict.fromkeys(Lane, 0)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, waiting: Waiting) -> None:
        ticket = next(self._ticket)
        line = self._lines[waiting.lane].setdefault(waiting.model, OrderedDict())
        line[ticket] = waiting
        self._places[waiting.generation] = (waiting, ticket)
        self._waits[waiting.lane] += 1

    def remove(self, generation: str) -> Waiting | None:
        waiting, ticket = self._places.pop(generation, (None, 0))
        if waiting is None:
            return None
        lines = self._lines[waiting.lane]
        del lines[waiting.model][ticket]
        if not lines[waiting.model]:
            del lines[waiting.model]
        self._waits[waiting.lane] -= 1
        return waiting

    def next(self, has_slot: Callable[[str], bool]) -> Waiting | None:
        lane = Lane.INTERACTIVE if self._waits[Lane.INTERACTIVE] else Lane.BACKGROUND
        heads = [next(iter(line.items())) for model, line in self._lines[lane].items() if has_slot(model)]
        if not heads:
            return None
        _, waiting = min(heads, key=lambda head: head[0])
        return self.remove(waiting.generation)

    def waits(self, lane: Lane) -> int:
        return self._waits[lane]

    def oldest(self, lane: Lane) -> Waiting | None:
        return next(self._lane_in_order(lane), None)

    def in_order(self) -> Iterator[Waiting]:
        for lane in Lane:
            yield from self._lane_in_order(lane)

    def _lane_in_order(self, lane: Lane) -> Iterator[Waiting]:
        lines = (line.items() for line in self._lines[lane].values())
        for _, waiting in heapq.merge(*lines, key=lambda head: head[0]):
            yield waiting


class Pace:
    """How long runs take lately; what an estimate for those who wait is made of."""

    #: The weight of the newest run.
    _WEIGHT = 0.2

    def __init__(self) -> None:
        self._seconds: float | None = None

    def ran(self, seconds: float) -> None:
        before = seconds if self._seconds is None else self._seconds
        self._seconds = before + self._WEIGHT * (seconds - before)

    def eta_ms(self, position: int, slots: int) -> int | None:
        if self._seconds is None or slots < 1:
            return None
        return round(1000 * self._seconds * position / slots)
