"""The usual set-up: a simulated model server, nginx and this server before it, each a process of its own."""

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from loadtests.load import Job, Outcome, put_load, request
from loadtests.nginx import passing_through
from loadtests.processes import Child, serving

#: The ways to the model, and what they lead to.
OURS, NGINX, DIRECT, SIMULATOR = "chatserver", "nginx", "direct", "simulator"

_MODEL = "sim-chat:latest"
#: More than any scenario asks for: what is measured is the work, not the limits.
_PLENTY = 1_000_000
_SLOTS = 1_000
#: Seconds that streams may take longer than their tokens do.
_PATIENCE = 30
_SETTINGS = {
    "ollama.slots": _SLOTS,
    "limits.messages_per_minute": _PLENTY,
    "limits.per_address_per_minute": _PLENTY,
    "limits.outstanding_per_user": _PLENTY,
    "log.format": "json",
}


@dataclass(frozen=True)
class Demand:
    """What is asked for at once."""

    streams: int
    #: Tokens of each stream.
    tokens: int

    def questions(self) -> Sequence[str]:
        return [
            f"Tell me about number {number}. [[tokens={self.tokens}]] [[stamp=1]]"
            for number in range(self.streams)
        ]


class Way(Protocol):
    """A way by which tokens get from the simulator to the client."""

    @property
    def address(self) -> str: ...

    @property
    def separator(self) -> str:
        """What ends a frame."""

    async def requests(self, demand: Demand) -> Sequence[str]:
        """Prepare all that can be prepared before the clock starts."""


@dataclass(frozen=True)
class PassedThrough:
    """The simulator's own protocol, with or without something between."""

    address: str
    separator: str = "\n"

    async def requests(self, demand: Demand) -> Sequence[str]:
        return [request("/api/chat", "localhost", _chat_body(question)) for question in demand.questions()]


@dataclass(frozen=True)
class Conversed:
    """Turns of conversations of their own, as events."""

    address: str
    separator: str = "\n\n"

    async def requests(self, demand: Demand) -> Sequence[str]:
        async with httpx.AsyncClient(base_url=f"http://{self.address}", trust_env=False) as http:
            return [await self._turn(http, question) for question in demand.questions()]

    async def _turn(self, http: httpx.AsyncClient, question: str) -> str:
        answer = await http.post("/api/v1/conversations", json={"model": _MODEL})
        path = f"/api/v1/conversations/{answer.raise_for_status().json()['id']}/messages"
        return request(path, self.address, {"content": question}, accept="text/event-stream")


def _chat_body(question: str) -> dict[str, Any]:
    # As this server asks, so that the simulated model isn't loaded anew from one way to the other.
    return {
        "model": _MODEL,
        "messages": [{"role": "user", "content": question}],
        "keep_alive": "5m",
        "truncate": False,
        "shift": False,
        "options": {"num_ctx": 8192},
    }


@dataclass(frozen=True)
class Bench:
    """What runs while it is measured."""

    ways: Mapping[str, Way]
    #: Whose use of the processor is looked at.
    pids: Mapping[str, int]
    #: Tokens a second of each stream.
    rate: float

    async def measure(self, name: str, demand: Demand) -> Outcome:
        way = self.ways[name]
        host, _, port = way.address.partition(":")
        deadline = demand.tokens / self.rate + _PATIENCE
        job = Job(host, int(port), await way.requests(demand), way.separator, deadline)
        return await put_load(job, self.pids)


@asynccontextmanager
async def bench(seed: int, rate: float) -> AsyncIterator[Bench]:
    """Start simulator, nginx and server, each in a process of its own."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        simulator, upstream = await stack.enter_async_context(_simulator(seed, rate))
        nginx = await stack.enter_async_context(passing_through(folder, upstream))
        server, address = await stack.enter_async_context(_server(folder / "data", upstream))
        yield Bench(
            {DIRECT: PassedThrough(upstream), NGINX: PassedThrough(nginx.address), OURS: Conversed(address)},
            {SIMULATOR: simulator.pid, NGINX: nginx.worker, OURS: server.pid},
            rate,
        )


def _simulator(seed: int, rate: float) -> AbstractAsyncContextManager[tuple[Child, str]]:
    options = {"port": 0, "rate": rate, "parallel": _SLOTS, "seed": seed}
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return serving("chatserver", "simulate-ollama", *given)


def _server(data: Path, upstream: str) -> AbstractAsyncContextManager[tuple[Child, str]]:
    settings = {**_SETTINGS, "server.data_dir": data, "ollama.urls": f"http://{upstream}"}
    environment = {
        f"CHATSERVER_{name.replace('.', '__').upper()}": str(value) for name, value in settings.items()
    }
    return serving("chatserver", "serve", "--port", "0", environment=environment)
