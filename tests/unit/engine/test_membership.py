from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chatserver.engine import membership
from chatserver.generation.ids import GENERATION, new_id
from chatserver.generation.states import Lane
from chatserver.storage.generations import AcceptGeneration
from chatserver.storage.instances import Instances, KeepAlive
from chatserver.storage.records import Stored
from tests.unit.clock import MovedClock
from tests.unit.engine.conftest import SETTINGS
from tests.unit.works import ALICE, MODEL, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

_LEASE_S = 10


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest_asyncio.fixture(loop_scope="session")
async def works(tmp_path, clock) -> AsyncIterator[Works]:
    async with working(tmp_path / "data", clock=clock, store__lease_s=_LEASE_S, **SETTINGS) as works:
        await works.parts.membership._round()
        clock.move(_LEASE_S)
        yield works
        await works.clear()


async def _left_by_the_dead(works: Works, count: int) -> None:
    for _ in range(count):
        work = AcceptGeneration(
            principal=ALICE,
            generation_id=new_id(GENERATION),
            model=MODEL,
            request={"messages": [{"role": "user", "content": "Hello"}]},
            owner="dead",
            claimed=True,
            lane=Lane.INTERACTIVE,
            metadata=None,
            expires_at=None,
            retry_of=None,
            idempotency=None,
            reply=lambda _: Stored(202, b"{}"),
            now_ms=works.parts.clock.wall_ms(),
        )
        await works.parts.store.writer.submit(work)


async def _orphans(works: Works) -> int:
    return len(await Instances(works.parts.store.database).orphans(100))


async def test_what_the_dead_have_left_is_taken_in_some_at_a_time_and_signs_of_life_given_between(works):
    await _left_by_the_dead(works, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(membership, "_TAKEN_AT_ONCE", 2)
        for left in (3, 1, 0):
            assert await works.parts.membership._round() is (left > 0)
            assert await _orphans(works) == left


async def test_whoever_gave_no_sign_of_life_in_time_takes_nobody_for_dead_for_a_lease(works, clock):
    await works.parts.store.writer.submit(KeepAlive(works.engine.owner, -1))
    await _left_by_the_dead(works, 1)
    await works.parts.membership._round()
    clock.move(_LEASE_S / 2)
    await works.parts.membership._round()
    assert await _orphans(works) == 1
    clock.move(_LEASE_S / 2)
    await works.parts.membership._round()
    assert await _orphans(works) == 0


async def test_whoever_is_about_to_leave_takes_nothing_in(works):
    await _left_by_the_dead(works, 1)
    works.engine.drain()
    assert await works.parts.membership._round() is False
    assert await _orphans(works) == 1
