"""Who watches which conversation: told after each commit in which it has changed, wherever that was."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

from chatserver.backplane.port import Backplane
from chatserver.errors import StoreUnavailable

#: Conversations whose numbers are compared in one question.
_COMPARED_AT_ONCE = 500

#: Digits of a change number at most.
_DIGITS = 15

#: Called with the number of a change; with None when some may have been missed.
Told = Callable[[int | None], None]
#: Asks the store for the newest number of each conversation that is there.
Newest = Callable[[Collection[str]], Awaitable[Mapping[str, int]]]


class Watchers:
    def __init__(self, backplane: Backplane) -> None:
        self._backplane = backplane
        self._told: defaultdict[str, set[Told]] = defaultdict(set)

    @contextmanager
    def watching(self, conversation: str, told: Told) -> Iterator[None]:
        self._told[conversation].add(told)
        try:
            with self._hearing(conversation, told):
                yield
        finally:
            self._told[conversation].discard(told)
            if not self._told[conversation]:
                del self._told[conversation]

    def announce(self, changes: Iterable[tuple[str, int]]) -> None:
        for conversation, number in changes:
            self._tell(conversation, number)
            if not self._backplane.alone:
                self._backplane.publish(_topic(conversation), str(number))

    async def compare(self, newest: Newest, every_s: float) -> NoReturn:
        """Look, for ever, whether an announcement of another instance was lost."""
        while True:
            await asyncio.sleep(every_s)
            watched = list(self._told)
            for start in range(0, len(watched), _COMPARED_AT_ONCE):
                await self._compare(watched[start : start + _COMPARED_AT_ONCE], newest)

    async def _compare(self, watched: Collection[str], newest: Newest) -> None:
        try:
            numbers = await newest(watched)
        except StoreUnavailable:
            return
        for conversation in watched:
            # Without a number it was deleted.
            self._tell(conversation, numbers.get(conversation))

    @contextmanager
    def _hearing(self, conversation: str, told: Told) -> Iterator[None]:
        if self._backplane.alone:
            yield
        else:
            with self._backplane.listen(_topic(conversation), partial(_hear, told)):
                yield

    def _tell(self, conversation: str, number: int | None) -> None:
        for told in list(self._told.get(conversation, ())):
            told(number)


def _topic(conversation: str) -> str:
    return f"conversation:{conversation}"


def number_in(text: str) -> int | None:
    """Read a change number as it stands in a hint or an address; None where it can't be one of ours."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def _hear(told: Told, text: str | None) -> None:
    # What isn't one of our numbers is as good as none: whoever is told looks for itself.
    told(None if text is None else number_in(text))
