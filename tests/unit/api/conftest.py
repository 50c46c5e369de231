"""A real server on a free port of the loopback, to drive the sample API over HTTP."""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from chatserver.api.docs import Handbook
from tests.unit.api.sample import dressed, sample_api


@contextmanager
def _serving(app: ASGIApp) -> Iterator[str]:
    # Connections wait in the backlog until the server is up: nobody has to.
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="uvicorn")
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.fixture(scope="session")
def handbook() -> Handbook:
    return Handbook(sample_api())


@pytest.fixture(scope="session")
def serving() -> Callable[[ASGIApp], AbstractContextManager[str]]:
    return _serving


@pytest.fixture(scope="session")
def address(handbook) -> Iterator[str]:
    """Where the sample API is served."""
    with _serving(dressed(handbook.routes)) as url:
        yield url


@pytest.fixture
async def client(address) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address, timeout=10, verify=False) as client:
        yield client
