"""The servers that scenarios start: a simulated model server and this one, each a process of its own."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.processes import Child, serving
from tests.harness.processes import environment_of

#: The processes, by the names under which figures call them.
OURS, SIMULATOR, CLIENT = "chatserver", "simulator", "client"

MODEL = "sim-chat:latest"
#: More than any scenario asks for: what is measured is the work, not the limits.
_PLENTY = 1_000_000
#: Answers in flight, here and at the model server.
SLOTS = 1_000
_SETTINGS = {
    "ollama.slots": SLOTS,
    "limits.messages_per_minute": _PLENTY,
    "limits.per_address_per_minute": _PLENTY,
    "limits.outstanding_per_user": _PLENTY,
    "log.format": "json",
    # What is measured is the turns; titles are made beside them, and only where a slot is free.
    "housekeeping.titles": False,
}


@dataclass(frozen=True)
class Service:
    """This server in front of a simulated model server."""

    #: `host:port` of both.
    address: str
    upstream: str
    #: The ids of their processes, by name.
    pids: Mapping[str, int]
    #: For files; gone afterwards.
    folder: Path


@asynccontextmanager
async def service(
    seed: int, rate: float | None, settings: Mapping[str, Any] | None = None, *, first_token_ms: float = 0
) -> AsyncIterator[Service]:
    """Start both; answers come with so many tokens a second, or as fast as they can."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        model_server, upstream = await stack.enter_async_context(simulator(seed, rate, first_token_ms))
        server, address = await stack.enter_async_context(
            chatserver(folder / "data", upstream, settings or {})
        )
        yield Service(address, upstream, {OURS: server.pid, SIMULATOR: model_server.pid}, folder)


def simulator(
    seed: int, rate: float | None, first_token_ms: float
) -> AbstractAsyncContextManager[tuple[Child, str]]:
    options = {
        "port": 0,
        "parallel": SLOTS,
        "seed": seed,
        "first-token-ms": first_token_ms,
        **({"rate": rate} if rate else {}),
    }
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return serving("chatserver", "simulate-ollama", *given)


def chatserver(
    data: Path, upstream: str, settings: Mapping[str, Any]
) -> AbstractAsyncContextManager[tuple[Child, str]]:
    given = {**_SETTINGS, "server.data_dir": data, "ollama.urls": f"http://{upstream}", **settings}
    return serving("chatserver", "serve", "--port", "0", environment=environment_of(given))
