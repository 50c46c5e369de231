"""Two instances on one backplane, for each way in which instances can share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from chatserver.backplane.memory import Hub, MemoryBackplane
from chatserver.backplane.port import Backplane
from chatserver.backplane.redis.backplane import Lifetimes, RedisBackplane
from tests.harness.redis import RedisServer, redis_server

LIVES = Lifetimes(running=60, ended=30)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis(tmp_path_factory) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@asynccontextmanager
async def on_redis(server: RedisServer) -> AsyncIterator[RedisBackplane]:
    """Run an instance's backplane; it is connected when this gives it."""
    async with RedisBackplane.open_at(server.url, LIVES) as backplane:
        running = asyncio.create_task(backplane.run())
        heard = asyncio.Event()
        with backplane.listen("ready", lambda _: heard.set()):
            await heard.wait()
        try:
            yield backplane
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="module", params=["memory", "redis"])
async def pair(request: pytest.FixtureRequest, redis) -> AsyncIterator[tuple[Backplane, Backplane]]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            hub = Hub()
            yield MemoryBackplane(hub), MemoryBackplane(hub)
        else:
            async with redis.client() as client:
                await client.flushall()
            yield (
                await stack.enter_async_context(on_redis(redis)),
                await stack.enter_async_context(on_redis(redis)),
            )
