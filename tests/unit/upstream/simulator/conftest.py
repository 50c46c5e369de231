"""A real simulated server on a free port for each test that asks for one, and a client for it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from chatserver.upstream.simulator import SimulatorOptions, serve_simulator

Start = Callable[..., Awaitable["Simulated"]]


class Simulated:
    """A client that knows the questions these tests ask."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def chat(self, content: str, **body) -> httpx.Response:
        messages = body.pop("messages", [{"role": "user", "content": content}])
        return await self.http.post("/api/chat", json={"model": "sim-chat", "messages": messages, **body})

    def streaming(self, content: str, **body):
        messages = [{"role": "user", "content": content}]
        return self.http.stream("POST", "/api/chat", json={"model": "sim-chat", "messages": messages, **body})

    async def say(self, content: str, **body) -> str:
        answer = await self.chat(content, **body)
        assert answer.status_code == 200, answer.text
        return said(answer)

    async def stats(self, **wanted) -> dict:
        """The counters, as soon as they are as wanted."""
        query = {**wanted, "wait": 5} if wanted else {}
        counters = (await self.http.get("/_sim/stats", params=query)).json()
        assert wanted.items() <= counters.items(), counters
        return counters


def lines(answer: httpx.Response) -> list[dict]:
    return [json.loads(line) for line in answer.text.splitlines()]


def said(answer: httpx.Response) -> str:
    return "".join(line["message"]["content"] for line in lines(answer))


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start_one(**options) -> Simulated:
            url = await stack.enter_async_context(serve_simulator(SimulatorOptions(**options)))
            http = httpx.AsyncClient(base_url=url, timeout=5, trust_env=False)
            return Simulated(await stack.enter_async_context(http))

        yield start_one


@pytest.fixture
async def simulated(start: Start) -> Simulated:
    return await start()
