"""What somebody may do so often in a while, counted over all instances."""

import secrets
from collections.abc import Sequence

from chatserver.backplane.redis.link import Link, Text

_PREFIX = "chatserver:window"


class SharedWindows:
    def __init__(self, link: Link) -> None:
        self._link = link

    async def count(self, windows: Sequence[tuple[str, int]], seconds: float) -> tuple[int, float] | None:
        """Count once in each, given by its name and how many it takes.

        Or in none of them: then it gives the place of the one that is full, and the seconds until it isn't.
        """
        keys = [f"{_PREFIX}:{name}" for name, _ in windows]
        arguments: list[Text] = [round(1000 * seconds), secrets.token_hex(8), *(most for _, most in windows)]
        full, wait_ms = await self._link.run("count", keys, arguments)
        return (full - 1, wait_ms / 1000) if full else None
