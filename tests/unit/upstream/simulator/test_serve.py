import asyncio
import signal

import httpx
import pytest

from chatserver.upstream.simulator import SimulatorOptions, serve_simulator
from chatserver.upstream.simulator.serve import address_of, bind
from tests.unit.upstream.simulator.client import chat_body


async def test_it_serves_on_a_socket_that_is_bound_already() -> None:
    sock = bind("127.0.0.1", 0)
    async with serve_simulator(SimulatorOptions(), sock) as url:
        assert url == f"http://127.0.0.1:{sock.getsockname()[1]}"
    assert sock.fileno() == -1


async def test_signals_are_left_alone() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serve_simulator(SimulatorOptions()):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_the_end_cuts_every_answer_at_once_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with httpx.AsyncClient(timeout=5, trust_env=False, verify=False) as http:
        async with serve_simulator(SimulatorOptions()) as url:
            body = chat_body("Hi [[fault=stall]]")
            answer = await http.send(http.build_request("POST", f"{url}/api/chat", json=body), stream=True)
            received = answer.aiter_lines()
            await anext(received)
        with pytest.raises(httpx.TransportError):
            async for _ in received:
                pass
    assert asyncio.all_tasks() == before


def test_addresses_are_urls() -> None:
    with bind("127.0.0.1", 0) as sock:
        assert address_of(sock).startswith("http://127.0.0.1:")
