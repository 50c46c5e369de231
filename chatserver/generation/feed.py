"""A log together with those who wait for news of it, and what is shown before its first piece."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chatserver.generation.log import Entry, StoredLog, TokenLog
from chatserver.generation.pieces import Piece
from chatserver.generation.position import Position

#: Readers mostly stand at one of a few positions; more batches than these aren't kept.
_SHARED_BATCHES = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a generation stands in the queue."""

    position: int
    eta_ms: int | None


class Batch:
    """What readers at one position get next. They share it, and what it was encoded to."""

    __slots__ = ("encoded", "entries", "wholes")

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        #: Filled by the transports: frames, and all of them in one, by what has encoded them.
        self.encoded: Any = None
        self.wholes: dict[Any, bytes] = {}


class Listener(Protocol):
    def notify(self) -> None:
        """There may be news. Called in the middle of an append: only take note of it."""


class Feed:
    """One generation as its readers see it. Whoever fills the log does so through here."""

    def __init__(self, generation: str, log: TokenLog | None = None) -> None:
        self.generation = generation
        self.log = log or TokenLog()
        #: Known only while it waits in the queue.
        self.place: Place | None = None
        #: This process adds nothing more; what is missing comes after another start.
        self.parked = False
        self._listeners: set[Listener] = set()
        self._batches: dict[int, Batch] = {}

    @property
    def readers(self) -> int:
        return len(self._listeners)

    def begin(self, epoch: int, n: int) -> None:
        if self.log.begin(epoch, n):
            self._changed()

    def add(self, piece: Piece) -> None:
        self.log.add(piece)
        self._changed()

    def extend(self, pieces: Sequence[Piece]) -> None:
        """Add what came together; readers are woken once for all of it."""
        self.log.add(*pieces)
        self._changed()

    def append(self, first: Position, pieces: Sequence[Piece]) -> None:
        """Put what another process wrote, the first piece at `first`; what is known changes nothing."""
        before = self.log.top
        for n, piece in enumerate(pieces, first.n):
            self.log.append(Position(first.epoch, n), piece)
        if self.log.top > before:
            self._changed()

    def replace(self, log: TokenLog) -> None:
        """Have another log from now on; who reads keeps what both have."""
        self.log = log
        self._changed()

    def end_as(self, stored: StoredLog) -> None:
        """Let it end as the store has it: with what is missing alone, where the rest is known."""
        mine, final = self.log, stored.position
        if mine.ended:
            return
        if (mine.epoch, mine.top + 1) == final and stored.ending is not None:
            mine.add(stored.ending)
        else:
            self.log = stored.after(mine)
        self._changed()

    def move(self, place: Place | None) -> None:
        if place != self.place:
            self.place = place
            self._changed()

    def park(self) -> None:
        """Say that what is missing won't come here."""
        self.parked = True
        self._changed()

    def batch(self, n: int) -> Batch | None:
        """What follows piece n, or None while there is nothing."""
        batch = self._batches.get(n)
        if batch is None:
            entries = self.log.since(n)
            if not entries:
                return None
            batch = Batch(entries)
            # One reader alone shares with nobody.
            if len(self._listeners) > 1 and len(self._batches) < _SHARED_BATCHES:
                self._batches[n] = batch
        return batch

    def listen(self, listener: Listener) -> None:
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners:
            # Of a log that has ended no change would ever clear them.
            self._batches.clear()

    def _changed(self) -> None:
        self._batches.clear()
        for listener in self._listeners:
            listener.notify()
