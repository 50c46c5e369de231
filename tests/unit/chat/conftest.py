import pytest_asyncio

from tests.unit.chat.desk import Desk


@pytest_asyncio.fixture(loop_scope="session")
async def desk(works) -> Desk:
    return Desk(works)
