"""One running service for all tests of a module, which says in SETTINGS and SIMULATOR what is special."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness.client import Client
from tests.harness.service import Service, service_of


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    settings = getattr(request.module, "SETTINGS", {})
    options = getattr(request.module, "SIMULATOR", ())
    async with service_of(tmp_path_factory.mktemp("data"), settings, options) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Client:
    return service.client
