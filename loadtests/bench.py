"""The usual set-up: a simulated model server, nginx and this server before it, each a process of its own."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from loadtests.conversations import begin, questions, turn
from loadtests.load import Job, Outcome, put_load, request
from loadtests.nginx import passing_through
from loadtests.servers import MODEL, OURS, service

#: The other ways to the model.
NGINX, DIRECT = "nginx", "direct"

#: Seconds that streams may take longer than their tokens do.
_PATIENCE = 30


@dataclass(frozen=True)
class Demand:
    """What is asked for."""

    streams: int
    #: Tokens of each stream.
    tokens: int
    #: Seconds over which they are asked for, evenly.
    spread_s: float = 0

    def questions(self) -> Sequence[str]:
        return questions(self.streams, self.tokens)


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
        conversations = await begin(self.address, demand.streams)
        return [
            turn(self.address, conversation, question)
            for conversation, question in zip(conversations, demand.questions(), strict=True)
        ]


def _chat_body(question: str) -> dict[str, Any]:
    # As this server asks, so that the simulated model isn't loaded anew from one way to the other.
    return {
        "model": MODEL,
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
        deadline = demand.tokens / self.rate + demand.spread_s + _PATIENCE
        job = Job(host, int(port), await way.requests(demand), way.separator, deadline, demand.spread_s)
        return await put_load(job, self.pids)


@asynccontextmanager
async def bench(seed: int, rate: float) -> AsyncIterator[Bench]:
    """Start simulator, nginx and server, each in a process of its own."""
    async with service(seed, rate) as ours, passing_through(ours.folder, ours.upstream) as nginx:
        yield Bench(
            {
                DIRECT: PassedThrough(ours.upstream),
                NGINX: PassedThrough(nginx.address),
                OURS: Conversed(ours.address),
            },
            {**ours.pids, NGINX: nginx.worker},
            rate,
        )
