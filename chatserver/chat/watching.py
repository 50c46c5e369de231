"""Who watches which conversation: told after each commit that something in it has changed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

Told = Callable[[], None]


class Watchers:
    def __init__(self) -> None:
        self._told: defaultdict[str, set[Told]] = defaultdict(set)

    @contextmanager
    def watching(self, conversation: str, told: Told) -> Iterator[None]:
        self._told[conversation].add(told)
        try:
            yield
        finally:
            self._told[conversation].discard(told)
            if not self._told[conversation]:
                del self._told[conversation]

    def announce(self, changes: Iterable[tuple[str, int]]) -> None:
        for conversation, _ in changes:
            for told in list(self._told.get(conversation, ())):
                told()
