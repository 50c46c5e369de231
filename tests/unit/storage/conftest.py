"""The store that the behaviour tests run on: one parameter for each database there is."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatserver.storage.migration import upgrade_file
from tests.unit.storage.store import Store, opened


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """An empty database that is up to date, to copy: bringing one up to date takes longer."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    upgrade_file(path, lock_wait_s=1)
    return path


@pytest.fixture
def database_file(empty_database, tmp_path) -> Path:
    return shutil.copy(empty_database, tmp_path / "chat.db")


@pytest.fixture(params=["sqlite"])
async def store(database_file) -> AsyncIterator[Store]:
    async with opened(database_file) as store:
        yield store
