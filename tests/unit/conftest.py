"""One server for all tests that leave it as it was: putting one together takes longer than most of them."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.unit.works import ELSEWHERE, Works, working


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory) -> AsyncIterator[Works]:
    folder = tmp_path_factory.mktemp("works")
    async with working(folder, ollama__slots=2, server__public_origins=(ELSEWHERE,)) as works:
        yield works


@pytest_asyncio.fixture(loop_scope="session")
async def works(shared) -> AsyncIterator[Works]:
    yield shared
    await shared.clear()
