"""Hints on their way to Redis: sent together, and forgotten where they can't be."""

import asyncio
from collections import deque
from typing import NoReturn

from chatserver.backplane.redis.link import Link
from chatserver.errors import BackplaneUnavailable

#: Hints that wait at most; the oldest make room. Whoever needs to know compares by itself now and then.
_WAITING = 10_000


class Announcer:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: deque[tuple[str, str]] = deque(maxlen=_WAITING)
        self._news = asyncio.Event()

    def publish(self, channel: str, text: str) -> None:
        self._waiting.append((channel, text))
        self._news.set()

    async def run(self) -> NoReturn:
        while True:
            await self._news.wait()
            self._news.clear()
            hints = list(self._waiting)
            self._waiting.clear()
            try:
                await self._link.publish(hints)
            except BackplaneUnavailable:
                continue
