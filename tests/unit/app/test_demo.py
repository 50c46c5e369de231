import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from chatserver.app import demo
from chatserver.app.demo import Demo
from chatserver.app.listening import address_of
from chatserver.upstream.client import Deadlines, OllamaClient
from chatserver.upstream.fleet import Fleet
from chatserver.upstream.simulator import SimulatorOptions, serve_simulator
from tests.unit.clock import MovedClock

DEADLINES = Deadlines(connect=5, first_token=5, between_tokens=5, plain=5)


@pytest.fixture(autouse=True)
def _look_often(monkeypatch) -> None:
    monkeypatch.setattr(demo, "_LOOK_EVERY_S", 0.002)


async def test_a_simulated_model_stands_in_until_a_real_one_answers() -> None:
    # Nobody else gets the port before somebody listens there.
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    address = address_of(held)
    async with (
        OllamaClient(address, DEADLINES) as real,
        AsyncExitStack() as later,
        Demo(fleet := Fleet([real], "", MovedClock().now)) as stand_in,
    ):
        await stand_in.look()
        assert (fleet.simulated, fleet.answering) == (True, 1)
        assert await fleet.default_model() == "sim-chat:latest"
        watching = asyncio.create_task(stand_in.watch())
        await asyncio.sleep(0.01)
        assert fleet.simulated
        await later.enter_async_context(serve_simulator(SimulatorOptions(), held))
        async with asyncio.timeout(5):
            while fleet.simulated:  # noqa: ASYNC110 - a fleet tells nobody
                await asyncio.sleep(0.001)
        assert fleet.clients == (real,)
        assert fleet.hosts("anything") == (real,)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_where_a_real_one_answers_nothing_stands_in() -> None:
    async with (
        serve_simulator(SimulatorOptions()) as url,
        OllamaClient(url, DEADLINES) as real,
        Demo(fleet := Fleet([real], "", MovedClock().now)) as stand_in,
    ):
        await stand_in.look()
        assert (fleet.simulated, fleet.clients) == (False, (real,))
