from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chatserver.engine import patience, runner
from tests.unit.works import Works, working

#: One slot, three attempts, no pause between them.
SETTINGS = {"ollama__slots": 1, "generation__retry_first_delay_s": 0, "generation__attempts": 3}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch) -> None:
    """Ask the store again at once."""
    monkeypatch.setattr(runner, "_ASK_AGAIN", 0.002)
    monkeypatch.setattr(patience, "_FIRST_S", 0.002)
    monkeypatch.setattr(patience, "_LONGEST_S", 0.01)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory) -> AsyncIterator[Works]:
    """With one slot, so that there is a queue."""
    async with working(tmp_path_factory.mktemp("works"), **SETTINGS) as works:
        yield works


@pytest_asyncio.fixture(loop_scope="session")
async def alone(tmp_path) -> AsyncIterator[Works]:
    """One that a test may leave in any state."""
    async with working(tmp_path / "data", **SETTINGS) as works:
        yield works
