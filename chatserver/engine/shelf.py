"""Finished logs that are kept in memory for a while, so that readers who come back find their positions."""

from collections import OrderedDict
from dataclasses import dataclass

from chatserver.generation.feed import Feed
from chatserver.generation.principal import Principal

#: Memory that a log takes beside its text, in bytes; measured, rounded up.
_OVERHEAD = 4096
_BYTES_A_PIECE = 160


@dataclass(frozen=True, slots=True)
class Kept:
    feed: Feed
    principal: Principal
    since: float
    size: int


class Shelf:
    def __init__(self, longest: float, most_bytes: int) -> None:
        self._longest = longest
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, feed: Feed, principal: Principal, now: float) -> None:
        size = _OVERHEAD + _BYTES_A_PIECE * feed.log.top + 2 * feed.log.characters
        self._kept[feed.generation] = Kept(feed, principal, now, size)
        self.size += size
        self.tidy(now)

    def get(self, generation: str) -> Kept | None:
        return self._kept.get(generation)

    def forget(self, generation: str) -> None:
        kept = self._kept.pop(generation, None)
        if kept is not None:
            self.size -= kept.size

    def tidy(self, now: float) -> None:
        """Let go of what is too old, and of the oldest while there is too much."""
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if now - oldest.since < self._longest and self.size <= self._most_bytes:
                return
            self.forget(oldest.feed.generation)
