from collections.abc import AsyncIterator

import pytest_asyncio

from tests.unit.works import ELSEWHERE, Works, working


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory) -> AsyncIterator[Works]:
    """One for all tests of a module, since putting it together takes longer than most of them."""
    async with working(tmp_path_factory.mktemp("works"), server__public_origins=(ELSEWHERE,)) as works:
        yield works


@pytest_asyncio.fixture(loop_scope="module")
async def works(shared) -> AsyncIterator[Works]:
    yield shared
    await shared.clear()
