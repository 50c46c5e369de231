"""Following a log that another process fills: hints may come twice, late or never; history is the truth."""

from collections import deque
from dataclasses import dataclass

from chatserver.errors import GapInLog
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Piece
from chatserver.generation.position import Position

#: While history is read, hints wait; beyond this many the next read brings them anyway.
_HINTS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Opened:
    """A hint: an epoch has begun after piece n."""

    epoch: int
    n: int


@dataclass(frozen=True, slots=True)
class Appended:
    """A hint: pieces were appended, the first of them at `first`."""

    first: Position
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class History:
    """The shared log as it was read: every epoch that had begun, and the pieces from number 1 on."""

    epochs: tuple[Position, ...]
    pieces: tuple[Piece, ...]


Hint = Opened | Appended


class Replica:
    """Fills a feed from hints and history, and says when the history has to be read."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._hints: deque[Hint] = deque(maxlen=_HINTS_KEPT)
        #: A gap has shown, or nothing was read yet: the hints wait for the history.
        self.behind = True

    def hint(self, hint: Hint) -> None:
        if self.behind:
            self._hints.append(hint)
        elif not self._place(hint):
            self.behind = True
            self._hints.append(hint)

    def check(self, top: Position) -> None:
        """Compare with the top of the shared log: a lost last hint shows no gap."""
        mine = self._feed.log
        if top.epoch > mine.epoch or (top.epoch == mine.epoch and top.n > mine.top):
            self.behind = True

    def history(self, history: History) -> None:
        """Take in what was read, then the hints that came meanwhile."""
        self.behind = False
        self._merge(history)
        hints, self._hints = self._hints, deque(maxlen=_HINTS_KEPT)
        for hint in hints:
            self.hint(hint)

    def _merge(self, history: History) -> None:
        following = [*history.epochs[1:], None]
        for begun, after in zip(history.epochs, following, strict=True):
            if begun.epoch < self._feed.log.epoch:
                continue
            self._feed.begin(begun.epoch, begun.n)
            last = len(history.pieces) if after is None else after.n
            for n in range(begun.n + 1, last + 1):
                self._feed.append(Position(begun.epoch, n), history.pieces[n - 1])

    def _place(self, hint: Hint) -> bool:
        """Put a hint into the log; False where something before it is missing."""
        if self._is_stale(hint):
            return True
        try:
            if isinstance(hint, Opened):
                self._feed.begin(hint.epoch, hint.n)
                return True
            epoch, first = hint.first
            for n, piece in enumerate(hint.pieces, first):
                self._feed.append(Position(epoch, n), piece)
        except GapInLog:
            return False
        return True

    def _is_stale(self, hint: Hint) -> bool:
        epoch = hint.epoch if isinstance(hint, Opened) else hint.first.epoch
        return epoch < self._feed.log.epoch or self._feed.log.ended
