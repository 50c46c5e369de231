"""Running services for tests that don't need one of their own: a roomy one, and one with a single slot."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness.client import Client
from tests.harness.postgres import Postgres
from tests.harness.processes import on_postgres
from tests.harness.service import EMBEDDER, HEARTBEAT_S, Service, service_of

_ROOMY = {
    "ollama.slots": 20,
    "server.public_origins": EMBEDDER,
    "streams.websocket_heartbeat_s": HEARTBEAT_S,
    "streams.pong_timeout_s": 1.5,
}
_NARROW = {"ollama.slots": 1, "streams.sse_heartbeat_s": 0.1}


_ROOMY_SIMULATOR = ("--rate", "200", "--parallel", str(_ROOMY["ollama.slots"]))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sqlite_service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with service_of(tmp_path_factory.mktemp("data"), _ROOMY, _ROOMY_SIMULATOR) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_service(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> AsyncIterator[Service]:
    settings = {**_ROOMY, **on_postgres(postgres.address(postgres.create()))}
    async with service_of(tmp_path_factory.mktemp("data"), settings, _ROOMY_SIMULATOR) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def narrow_service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with service_of(tmp_path_factory.mktemp("data"), _NARROW, ("--rate", "200")) as running:
        yield running


@pytest.fixture
def service(sqlite_service: Service) -> Service:
    return sqlite_service


@pytest.fixture(params=["sqlite", "postgresql"])
def either_service(request: pytest.FixtureRequest) -> Service:
    """The same with either kind of database, for what a database has a part in."""
    name = "sqlite_service" if request.param == "sqlite" else "postgres_service"
    found: Service = request.getfixturevalue(name)
    return found


@pytest.fixture
def client(service: Service) -> Client:
    return service.client
