from unittest.mock import patch

import pytest

from chatserver.chat import choices
from chatserver.chat.choices import Choices
from chatserver.errors import NotFound
from chatserver.storage.records import Chosen
from tests.unit.works import ALICE, BOB

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def seen(desk) -> Choices:
    return Choices(desk.works.parts.store.conversations)


async def test_what_was_read_is_remembered_until_it_is_forgotten(desk, seen) -> None:
    for model in ("sim-closed", None):
        conversation = await desk.begin(model=model)
        assert seen.recall(ALICE, conversation) is None
        assert await seen.read(ALICE, conversation) == seen.recall(ALICE, conversation) == Chosen(model)
        seen.forget(conversation)
        assert seen.recall(ALICE, conversation) is None


async def test_what_belongs_to_another_is_neither_remembered_nor_read(desk, seen) -> None:
    conversation = await desk.begin()
    await seen.read(ALICE, conversation)
    assert seen.recall(BOB, conversation) is None
    with pytest.raises(NotFound):
        await seen.read(BOB, conversation)


async def test_those_that_were_seen_last_are_remembered(desk, seen) -> None:
    begun = [await desk.begin() for _ in range(4)]
    with patch.object(choices, "_MOST", 2):
        for conversation in (*begun, begun[2]):
            await seen.read(ALICE, conversation)
        await seen.read(ALICE, begun[0])
    remembered = [conversation for conversation in begun if seen.recall(ALICE, conversation)]
    assert remembered == [begun[0], begun[2]]
