"""The stores that the behaviour tests run on: one for each kind of database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.storage.store import Store, opened


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request) -> Path | str:
    """The address of a database of either kind: up to date, empty, and this test's own."""
    own = {"sqlite": "database_file", "postgresql": "postgres_database"}
    return request.getfixturevalue(own[request.param])


@pytest.fixture
async def store(database) -> AsyncIterator[Store]:
    async with opened(database) as store:
        yield store


@pytest.fixture
async def file_store(database_file) -> AsyncIterator[Store]:
    async with opened(database_file) as store:
        yield store
