"""The one pub/sub connection of the process: subscriptions by reference count, renewed when it breaks."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog
from redis.asyncio.client import PubSub

from chatserver.backplane.redis.link import LOST, client_of

#: A channel that is always subscribed: without any, reading would end.
_SENTINEL = b"chatserver:sentinel"
#: Channels in one command.
_AT_ONCE = 500
#: Seconds between two pings, and without any word from Redis until the connection counts as dead.
_PING_EVERY = 1.0
_SILENCE = 4.0
#: Seconds before the first try to connect again, and at most before any.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0

#: Called with what was published; with None when something may have been missed, and once at the beginning.
Heard = Callable[[bytes | None], None]

log = structlog.get_logger()


class Subscriptions:
    def __init__(self, url: str) -> None:
        self._client = client_of(url, deadline=None)
        self._hearing: defaultdict[bytes, list[Heard]] = defaultdict(list)
        self._subscribed: set[bytes] = set()
        self._wanted = asyncio.Event()
        self.connected = False

    @contextmanager
    def hearing(self, channel: str, heard: Heard) -> Iterator[None]:
        name = channel.encode()
        if name in self._subscribed:
            asyncio.get_running_loop().call_soon(heard, None)
        self._hearing[name].append(heard)
        self._wanted.set()
        try:
            yield
        finally:
            self._hearing[name].remove(heard)
            if not self._hearing[name]:
                del self._hearing[name]
            self._wanted.set()

    async def run(self) -> NoReturn:
        """Stay connected, for ever."""
        pause = _FIRST_PAUSE
        try:
            while True:
                try:
                    await self._connected_once()
                except* LOST as group:
                    if self.connected:
                        log.warning("backplane_lost", error=type(group.exceptions[0]).__name__)
                        pause = _FIRST_PAUSE
                self.connected = False
                self._subscribed.clear()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            await self._client.aclose()

    async def _connected_once(self) -> None:
        async with self._client.pubsub() as pubsub:
            await pubsub.subscribe(_SENTINEL)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(pubsub), name="backplane: read")
                tasks.create_task(self._keep_subscribed(pubsub), name="backplane: subscribe")
                tasks.create_task(_ping(pubsub), name="backplane: ping")

    async def _read(self, pubsub: PubSub) -> NoReturn:
        while True:
            async with asyncio.timeout(_SILENCE):
                message = await pubsub.get_message(timeout=None)
            if message is not None:
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        channel: bytes = message["channel"]
        if message["type"] == "subscribe":
            # Also after a connection that was renewed: what was published meanwhile is lost.
            self._begun(channel)
        elif message["type"] == "message":
            self._tell(channel, message["data"])

    def _begun(self, channel: bytes) -> None:
        if channel == _SENTINEL:
            if not self.connected:
                log.info("backplane_connected")
            self.connected = True
        self._tell(channel, None)

    def _tell(self, channel: bytes, data: bytes | None) -> None:
        for heard in list(self._hearing.get(channel, ())):
            heard(data)

    async def _keep_subscribed(self, pubsub: PubSub) -> NoReturn:
        while True:
            self._wanted.clear()
            wanted = set(self._hearing)
            for channels in _portions(wanted - self._subscribed):
                await pubsub.subscribe(*channels)
            for channels in _portions(self._subscribed - wanted):
                await pubsub.unsubscribe(*channels)
            self._subscribed = wanted
            await self._wanted.wait()


async def _ping(pubsub: PubSub) -> NoReturn:
    while True:
        await asyncio.sleep(_PING_EVERY)
        await pubsub.ping()


def _portions(channels: set[bytes]) -> Iterator[list[bytes]]:
    listed = sorted(channels)
    for start in range(0, len(listed), _AT_ONCE):
        yield listed[start : start + _AT_ONCE]
