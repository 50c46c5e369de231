"""A simulated model server, a server in front of it, and a client that calls it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.client import Client, client_of
from tests.harness.processes import Process, running, server, simulator, simulator_stats

#: A page elsewhere that may call, and the seconds of a WebSocket's heartbeat.
EMBEDDER = "https://chat.example.org"
HEARTBEAT_S = 0.3

#: Seconds that answers and readers get when the server is told to stop; tests leave none that matter.
_GRACE_S = 1.0


@dataclass(frozen=True)
class Service:
    server: Process
    simulators: Sequence[Process]
    client: Client

    @property
    def url(self) -> str:
        return self.server.url

    async def seen(self, **wanted: int) -> dict[str, Any]:
        """Tell what the first model server has seen, as soon as its figures are as wanted."""
        return await simulator_stats(self.simulators[0].url, **wanted)

    async def asked(self) -> int:
        """How many answers the first model server was asked for."""
        return int((await self.seen())["requests"].get("/api/chat", 0))


@asynccontextmanager
async def service_of(
    data_dir: Path, settings: Mapping[str, Any], simulator_options: Sequence[str]
) -> AsyncIterator[Service]:
    """Run both; in the end the server stops as it is told to, and has nothing to complain about."""
    async with running(simulator(*simulator_options)) as model_server:
        given = {"server.grace_s": _GRACE_S, **settings}
        async with running(server(data_dir, model_server.url, given)) as process:
            async with client_of(process.url) as client:
                yield Service(process, [model_server], client)
            assert await process.terminate() == 0
            assert process.complaints == []


def module_service(settings: Mapping[str, Any], *simulator_options: str) -> Any:
    """Make a fixture: a service for the tests of one module."""

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
        async with service_of(tmp_path_factory.mktemp("data"), settings, simulator_options) as running:
            yield running

    return service
