"""One server for all tests that leave it as it was: putting one together takes longer than most of them."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

# Imported where it is needed: the process that hands tests to the others does without it.
if TYPE_CHECKING:
    from tests.unit.works import Works


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory) -> AsyncIterator["Works"]:
    from tests.unit.works import ELSEWHERE, working

    folder = tmp_path_factory.mktemp("works")
    async with working(folder, ollama__slots=2, server__public_origins=(ELSEWHERE,)) as works:
        yield works


@pytest_asyncio.fixture(loop_scope="session")
async def works(shared) -> AsyncIterator["Works"]:
    yield shared
    await shared.clear()
