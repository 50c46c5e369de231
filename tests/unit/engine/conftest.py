from collections.abc import AsyncIterator

import pytest

from chatserver.engine import runner
from tests.unit.works import Works, working


@pytest.fixture(autouse=True)
def _impatient(monkeypatch) -> None:
    """Offer what the store refused again at once."""
    monkeypatch.setattr(runner, "_ASK_AGAIN", 0.002)


@pytest.fixture
async def works(tmp_path) -> AsyncIterator[Works]:
    """One slot, three attempts, no pause between them."""
    async with working(
        tmp_path / "data", ollama__slots=1, generation__retry_first_delay_s=0, generation__attempts=3
    ) as works:
        yield works
