from dataclasses import replace

import pytest

from chatserver.errors import NotFound
from chatserver.generation.pieces import Channel
from chatserver.generation.states import Lane, Purpose, Status
from chatserver.storage.checkpoints import Checkpoint, Part
from chatserver.storage.housekeeping import ForgetHousekeeping, ForgetLeftHousekeeping
from chatserver.storage.instances import Instances, KeepAlive
from chatserver.storage.lifecycle import Claim
from tests.contract.storage.store import ALICE, NOW, chore, finish


async def test_housekeeping_is_an_ordinary_generation_in_the_background(store) -> None:
    generation = await store.submit(chore(await store.conversation(), claimed=True))
    assert (generation.purpose, generation.lane) == (Purpose.SUMMARY, Lane.BACKGROUND)
    assert (generation.status, generation.message) == (Status.RUNNING, None)
    assert await store.generations.find(generation.id) == generation
    assert await store.submit(finish(generation, "Short."))
    assert (await store.generations.find(generation.id)).result == "Short."


async def test_housekeeping_is_not_among_anybodys_work(store) -> None:
    generation = await store.submit(chore(await store.conversation()))
    assert (await store.generations.page(ALICE, None, 10, None)).items == ()
    assert (await store.generations.page(ALICE, Status.QUEUED, 10, None)).items == ()
    assert await store.generations.unfinished("", 50) == []
    assert await Instances(store.database).orphans(10) == []
    with pytest.raises(NotFound):
        await store.generations.get(ALICE, generation.id)


async def test_nobody_is_told_of_housekeeping(store) -> None:
    conversation = await store.conversation()
    store.commits.clear()
    generation = await store.submit(chore(conversation))
    await store.submit(Claim(generation.id, "me", 0, NOW))
    await store.submit(finish(generation, epoch=1))
    assert await store.conversations.changes(ALICE, conversation.id, conversation.change, 10) == []
    assert [changes for changes in store.commits if changes] == []


async def test_a_conversation_that_is_gone_needs_no_housekeeping(store) -> None:
    there = await store.conversation()
    gone = replace(there, id="conv_missing")
    with pytest.raises(NotFound):
        await store.submit(chore(gone))
    assert await store.submit(chore(there))


async def test_what_has_served_goes_and_nothing_else(store) -> None:
    conversation = await store.conversation()
    asked = (await store.answered(conversation)).generation
    first, second, third = [await store.submit(chore(conversation, claimed=True)) for _ in range(3)]
    await store.submit(Checkpoint((Part(second.id, 1, 1, 0, Channel.ANSWER, "Half"),)))
    await store.submit(ForgetHousekeeping(first.id))
    await store.submit(ForgetHousekeeping(asked.id))
    left = [await store.generations.find(each.id) is not None for each in (asked, first, second, third)]
    assert left == [True, False, True, True]
    await store.submit(KeepAlive("there", 60_000))
    others = await store.submit(chore(conversation, owner="there"))
    await store.submit(ForgetLeftHousekeeping())
    assert await store.generations.find(others.id) is not None
    left = [await store.generations.find(each.id) is not None for each in (asked, second, third)]
    assert left == [True, False, False]
