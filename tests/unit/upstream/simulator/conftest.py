"""A real simulated server on a free port for each test that asks for one, and a client for it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from chatserver.upstream.simulator import SimulatorOptions, serve_simulator
from tests.unit.upstream.simulator.client import Simulated


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Awaitable[Simulated]]]:
    async with AsyncExitStack() as stack:

        async def start_one(**options) -> Simulated:
            url = await stack.enter_async_context(serve_simulator(SimulatorOptions(**options)))
            # Plain HTTP: reading certificates would take longer than most of these tests.
            http = httpx.AsyncClient(base_url=url, timeout=5, trust_env=False, verify=False)
            return Simulated(await stack.enter_async_context(http))

        yield start_one


@pytest.fixture
async def simulated(start) -> Simulated:
    return await start()
