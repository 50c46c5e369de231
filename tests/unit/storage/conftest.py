"""A store in a file, for what holds for files alone; all else stands in tests/contract/storage."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.storage.store import Store, opened


@pytest.fixture
async def file_store(database_file) -> AsyncIterator[Store]:
    async with opened(database_file) as store:
        yield store
