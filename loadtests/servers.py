"""The servers that scenarios start: a simulated model server and this one, each a process of its own."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from loadtests.processes import Child, serving

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
}

#: A process and its address, `host:port`.
Serving = AbstractAsyncContextManager[tuple[Child, str]]


def simulator(seed: int, rate: float | None, parallel: int = SLOTS) -> Serving:
    """Simulate a model server; without a rate it is as fast as it can be."""
    options = {"port": 0, "parallel": parallel, "seed": seed, **({"rate": rate} if rate else {})}
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return serving("chatserver", "simulate-ollama", *given)


def chatserver(data: Path, upstream: str, settings: Mapping[str, Any] | None = None) -> Serving:
    """Serve in front of `upstream` with `data` as its folder, and limits that nobody reaches."""
    given = {**_SETTINGS, "server.data_dir": data, "ollama.urls": f"http://{upstream}", **(settings or {})}
    environment = {
        f"CHATSERVER_{name.replace('.', '__').upper()}": str(value) for name, value in given.items()
    }
    return serving("chatserver", "serve", "--port", "0", environment=environment)
