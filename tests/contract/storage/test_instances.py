import asyncio

import pytest

from chatserver.generation.states import Status
from chatserver.storage.instances import Adopt, HandOver, Instances, KeepAlive, Leave, Living, Orphan
from chatserver.storage.lifecycle import BeginAttempt, Claim, Claimed
from tests.contract.storage.store import ALICE, NOW, finish

_LEASE_MS = 60_000


@pytest.fixture
async def living(store):
    """A store with one instance that lives."""
    await store.submit(KeepAlive("here", _LEASE_MS))
    return store


async def orphans(store) -> list[Orphan]:
    return await Instances(store.database).orphans(10)


async def test_a_sign_of_life_says_whether_it_came_in_time(living) -> None:
    assert await living.submit(KeepAlive("here", _LEASE_MS))
    assert await living.submit(KeepAlive("here", -1))
    assert not await living.submit(KeepAlive("here", _LEASE_MS))
    assert await living.submit(KeepAlive("here", _LEASE_MS))
    assert not await living.submit(KeepAlive("there", _LEASE_MS))


async def test_who_lives_is_counted_with_their_connections(living) -> None:
    await living.submit(KeepAlive("there", _LEASE_MS, 3))
    await living.submit(KeepAlive("gone", -1, 100))
    await living.submit(KeepAlive("here", _LEASE_MS, 7))
    await living.submit(KeepAlive("here", _LEASE_MS, 5))
    assert await Instances(living.database).living() == Living(2, 8)


async def test_what_the_living_own_is_nobody_elses(living) -> None:
    generation = await living.work(claimed=True)
    assert await orphans(living) == []
    assert await living.submit(Adopt(generation.id, 1, "there")) is None


async def test_what_the_dead_own_is_the_first_ones_who_takes_it(store) -> None:
    generation = await store.work(claimed=True)
    await store.submit(KeepAlive("here", -1))
    await store.submit(KeepAlive("there", _LEASE_MS))
    assert await orphans(store) == [Orphan(generation.id, 1)]
    adopted = await asyncio.gather(
        *(store.submit(Adopt(generation.id, 1, who)) for who in ("there", "third"))
    )
    assert [record and record.owner for record in adopted] == ["there", None]
    assert await store.submit(Claim(generation.id, "there", 1, NOW)) == Claimed(2, 2, cancel=False)


async def test_what_was_handed_over_is_taken_up_without_using_up_an_attempt(living) -> None:
    generation = await living.work(claimed=True)
    for epoch in range(1, 6):
        owner = (await living.generations.get(ALICE, generation.id)).owner
        await living.submit(HandOver(generation.id, owner))
        assert await orphans(living) == [Orphan(generation.id, epoch)]
        assert await living.submit(Adopt(generation.id, epoch, "here")) is not None
        claim = Claim(generation.id, "here", epoch, NOW)
        assert await living.submit(claim) == Claimed(epoch + 1, 1, cancel=False)


async def test_what_was_handed_over_is_told_from_what_the_dead_have_left(store) -> None:
    left, _ = await store.work(owner="leaving", claimed=True), await store.work(owner="dead", claimed=True)
    await store.submit(HandOver(left.id, "leaving"))
    instances = Instances(store.database)
    assert len(await instances.orphans(10)) == 2
    assert await instances.orphans(10, handed_over=True) == [Orphan(left.id, 1)]


async def test_of_several_attempts_only_the_one_that_is_handed_over_is_given_back(living) -> None:
    generation = await living.work(claimed=True)
    await living.submit(BeginAttempt(generation.id, 1, 2))
    await living.submit(HandOver(generation.id, "here"))
    assert await living.submit(Claim(generation.id, "there", 1, NOW)) == Claimed(2, 2, cancel=False)


async def test_what_an_instance_only_waited_with_keeps_the_attempt_of_who_died(store) -> None:
    generation = await store.work(owner="dead", claimed=True)
    assert await store.submit(Adopt(generation.id, 1, "here")) is not None
    await store.submit(HandOver(generation.id, "here", tried=False))
    assert await store.submit(Claim(generation.id, "there", 1, NOW)) == Claimed(2, 2, cancel=False)


async def test_what_was_never_tried_has_no_attempt_to_give_back(living) -> None:
    generation = await living.work()
    await living.submit(HandOver(generation.id, "here"))
    left = await living.generations.get(ALICE, generation.id)
    assert (left.owner, left.status, left.attempts) == (None, Status.QUEUED, 0)


async def test_handing_over_once_more_changes_nothing(living) -> None:
    generation = await living.work(claimed=True)
    await asyncio.gather(*(living.submit(HandOver(generation.id, "here")) for _ in range(3)))
    assert (await living.generations.get(ALICE, generation.id)).attempts == 0


async def test_nobody_hands_over_what_is_another_ones_or_has_ended(living) -> None:
    theirs, ended = await living.work(owner="there", claimed=True), await living.work(claimed=True)
    await living.submit(finish(ended))
    for generation in (theirs, ended):
        before = await living.generations.get(ALICE, generation.id)
        await living.submit(HandOver(generation.id, "here"))
        assert await living.generations.get(ALICE, generation.id) == before


async def test_what_an_instance_leaves_undone_has_used_up_its_attempt(living) -> None:
    generation = await living.work(claimed=True)
    await living.submit(Leave("here"))
    assert await orphans(living) == [Orphan(generation.id, 1)]
    assert await living.submit(Claim(generation.id, "there", 1, NOW)) == Claimed(2, 2, cancel=False)
