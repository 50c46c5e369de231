"""The connection for commands: one deadline for each, and every failure is the same error to the caller."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from types import TracebackType
from typing import Any, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from chatserver.errors import BackplaneUnavailable

#: Seconds a command may take; Redis answers in less than a thousandth of that.
_DEADLINE_S = 2.0
#: Connections at most; whoever finds none free waits for one, as when hundreds of answers are taken over.
CONNECTIONS = 8

#: How the end of a connection shows; uvloop calls writing to one that has just closed a RuntimeError.
LOST = (RedisError, OSError, TimeoutError, RuntimeError)

Text = str | bytes | int


def client_of(url: str, deadline: float | None = _DEADLINE_S) -> Redis:
    """Make a client that never repeats a command by itself: whoever calls knows when that makes sense."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=_DEADLINE_S,
        socket_timeout=deadline,
        socket_connect_timeout=_DEADLINE_S,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        client_name="chatserver",
    )
    return Redis.from_pool(pool)


class Link:
    def __init__(self, url: str) -> None:
        # The client's own deadlines take a task for each command.
        self._client = client_of(url, deadline=None)
        self._scripts: dict[str, AsyncScript] = {}
        #: The last command came through.
        self.connected = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[Text] = ()) -> Any:
        """Run a script by its name."""
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._client.register_script(_text_of(script))
        async with self._watched():
            return await known(keys=keys, args=arguments)

    async def delete(self, keys: Sequence[str]) -> None:
        async with self._watched():
            await self._client.delete(*keys)

    async def publish(self, messages: Sequence[tuple[str, str]]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for channel, text in messages:
            pipeline.publish(channel, text)
        async with self._watched():
            await pipeline.execute()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                yield
        except LOST as error:
            self.connected = False
            raise BackplaneUnavailable from error
        self.connected = True


def _text_of(script: str) -> str:
    return (files(__package__) / "scripts" / f"{script}.lua").read_text()
