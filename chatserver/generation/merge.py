"""Following a log that another process fills: hints may come twice, late or never; history is the truth."""

from collections import deque
from dataclasses import dataclass
from itertools import zip_longest

from chatserver.errors import GapInLog
from chatserver.generation.feed import Feed
from chatserver.generation.log import TokenLog
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
        """Compare with the top of the shared log: a lost last hint shows no gap.

        A reader's position tells the same. One under a newer epoch than is known here is to be checked,
        and the history read, before that reader gets anything: it might be told to forget for nothing.
        """
        mine = self._feed.log
        if not mine.ended and top > (mine.epoch, mine.top):
            self.behind = True

    def history(self, history: History) -> None:
        """Take in what was read, then the hints that came meanwhile."""
        self._merge(history)
        self.behind = False
        hints, self._hints = self._hints, deque(maxlen=_HINTS_KEPT)
        for hint in hints:
            self.hint(hint)

    def _merge(self, history: History) -> None:
        mine = self._feed.log
        if not history.epochs or self._is_stale(history.epochs[-1].epoch):
            return
        if any(begun not in history.epochs for begun in mine.begun()):
            # Another log than the one that was followed: Redis had lost that, or an older state is back.
            self._feed.replace(TokenLog())
        for begun, after in zip_longest(history.epochs, history.epochs[1:]):
            if not self._is_stale(begun.epoch):
                self._feed.begin(begun.epoch, begun.n)
                last = after.n if after else len(history.pieces)
                self._feed.append(Position(begun.epoch, begun.n + 1), history.pieces[begun.n : last])

    def _place(self, hint: Hint) -> bool:
        """Put a hint into the log; False where something before it is missing."""
        try:
            match hint:
                case Opened(epoch, n) if not self._is_stale(epoch):
                    if epoch > self._feed.log.epoch + 1:
                        # One between may have begun from less, so what is known may be void from before n on.
                        return False
                    self._feed.begin(epoch, n)
                case Appended(first, pieces) if not self._is_stale(first.epoch):
                    self._feed.append(first, pieces)
        except GapInLog:
            return False
        return True

    def _is_stale(self, epoch: int) -> bool:
        return epoch < self._feed.log.epoch or self._feed.log.ended
