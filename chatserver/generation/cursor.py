"""A reader's place in a feed: what it has seen, and what comes next for it."""

from collections.abc import Callable
from typing import Self

from chatserver.generation.feed import Batch, Feed, Place
from chatserver.generation.log import Entry
from chatserver.generation.pieces import Reset, ResetReason
from chatserver.generation.position import START, Position

_FORGET: Entry = (START, Reset(ResetReason.POSITION_UNKNOWN))


class Cursor:
    """Reads a feed from a position on. Open it with `with`, so that it never outlives its reader.

    It doesn't wait by itself: `on_news` is called whenever a read may bring something, so that one
    connection can wait for a hundred generations at once.
    """

    __slots__ = ("_feed", "_place", "notify", "position")

    def __init__(self, feed: Feed, position: Position, on_news: Callable[[], None]) -> None:
        self._feed = feed
        self.notify = on_news
        #: The queue place last told.
        self._place: Place | None = None
        self.position = position

    def __enter__(self) -> Self:
        self._feed.listen(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.leave(self)

    @property
    def at_end(self) -> bool:
        return self._feed.log.ended and self.position == self._feed.log.position

    @property
    def expects_more(self) -> bool:
        """Whether this process goes on with what this reader hasn't read to its end."""
        feed = self._feed
        return not (feed.parked or (feed.log.ended and self.at_end))

    def read(self) -> Batch | None:
        """What is new since the last read, or None. Never waits, and never gives anything twice."""
        log = self._feed.log
        n = log.locate(self.position)
        if n is None:
            return self._read_anew()
        batch = self._feed.batch(n)
        if batch is not None:
            self.position = batch.entries[-1][0]
        return batch

    def place(self) -> Place | None:
        """The queue place, if the log hasn't begun and the place isn't the one last told."""
        place = self._feed.place if self._feed.log.top == 0 else None
        if place is None or place == self._place:
            return None
        self._place = place
        return place

    def _read_anew(self) -> Batch:
        self.position = START
        whole = self.read()
        return Batch([_FORGET, *(whole.entries if whole else [])])
