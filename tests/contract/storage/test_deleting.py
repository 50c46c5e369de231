import asyncio

import pytest
from sqlalchemy import insert

from chatserver.errors import NotFound
from chatserver.generation.ids import CONVERSATION, MESSAGE, new_id
from chatserver.storage.changing import ChangeConversation
from chatserver.storage.deleting import DeleteConversation
from chatserver.storage.tables import messages
from tests.contract.storage.store import ALICE, BOB, NOW, turn


async def test_it_goes_with_all_that_hangs_on_it_and_names_its_generations(store) -> None:
    conversation = await store.conversation()
    ended = (await store.answered(conversation)).generation
    running = (await store.turn(conversation)).generation
    queued = (await store.turn(conversation, parent=None, claimed=False)).generation
    change = (await store.conversations.get(ALICE, conversation.id)).change

    deleted = await store.submit(DeleteConversation(ALICE, conversation.id))
    assert deleted == (ended.id, running.id, queued.id)
    # Who watches it is told, by a number beyond all others.
    assert store.commits[-1] == [(conversation.id, change + 1)]
    with pytest.raises(NotFound):
        await store.conversations.get(ALICE, conversation.id)
    for generation in deleted:
        assert await store.generations.find(generation) is None
    assert await store.generations.unfinished("", 50) == []


async def test_a_second_deletion_finds_nothing(store) -> None:
    conversation = await store.conversation()
    results = await asyncio.gather(
        *(store.submit(DeleteConversation(ALICE, conversation.id)) for _ in range(2)), return_exceptions=True
    )
    assert results[0] == ()
    assert isinstance(results[1], NotFound)
    with pytest.raises(NotFound):
        await store.submit(DeleteConversation(ALICE, conversation.id))


async def test_what_belongs_to_another_is_not_there(store) -> None:
    conversation = await store.conversation(BOB)
    for missing in (conversation.id, new_id(CONVERSATION)):
        with pytest.raises(NotFound):
            await store.submit(DeleteConversation(ALICE, missing))
    assert await store.conversations.get(BOB, conversation.id) == conversation


async def test_what_comes_at_once_is_before_it_or_finds_nothing(store) -> None:
    conversation = await store.conversation()
    before, deleted, change, after = await asyncio.gather(
        store.submit(turn(conversation)),
        store.submit(DeleteConversation(ALICE, conversation.id)),
        store.submit(ChangeConversation(ALICE, conversation.id, {"title": "Late"})),
        # Of one kind with the first, so carried out with it.
        store.submit(turn(conversation, parent=None)),
        return_exceptions=True,
    )
    assert isinstance(change, NotFound)
    assert deleted == (before.generation.id, after.generation.id)
    with pytest.raises(NotFound):
        await store.submit(turn(conversation))


async def test_a_long_one_goes_too(store) -> None:
    conversation = await store.conversation()
    ids = [new_id(MESSAGE) for _ in range(3_000)]
    rows = [
        {
            "id": id_,
            "conversation": conversation.id,
            "parent": parent,
            "role": "user",
            "content": "",
            "change": 1,
            "created_at": NOW,
        }
        for id_, parent in zip(ids, [None, *ids], strict=False)
    ]
    await store.database.write(lambda connection: connection.execute(insert(messages), rows))
    await store.submit(ChangeConversation(ALICE, conversation.id, {"leaf": ids[0]}))
    assert (await store.conversations.get(ALICE, conversation.id)).leaf == ids[-1]
    assert await store.submit(DeleteConversation(ALICE, conversation.id)) == ()
