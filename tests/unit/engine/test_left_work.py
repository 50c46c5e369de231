"""Who lives, who has left, and whose work is whose then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chatserver.generation.pieces import Channel
from chatserver.generation.states import Reason
from chatserver.storage.instances import Adopt
from chatserver.storage.lifecycle import Cancel
from tests.unit.engine.pair import Pair, Reader, pair
from tests.unit.engine.talks import asked
from tests.unit.works import ALICE, Works

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "Tell me of the sea. [[tokens=5]]"
STALLED = "Tell me of the sea. [[fault=stall]]"
#: A lease that no test waits for, and one that is over at once.
LONG, SHORT = 600, 0.5


@asynccontextmanager
async def taking_part(*members: Works) -> AsyncIterator[None]:
    for works in members:
        await works.parts.membership.join()
    running = [asyncio.create_task(works.parts.membership.run()) for works in members]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def ended(both: Pair, generation: str) -> Reason | None:
    """Follow it through the second one to its end."""
    with Reader(both.second.parts.peers.feed(await both.second.record(generation))) as reader:
        return (await reader.until_end()).reason


async def test_what_one_leaves_is_taken_in_at_once(tmp_path) -> None:
    async with pair(tmp_path, store__lease_s=LONG) as both, taking_part(both.second):
        await both.first.parts.membership.join()
        await both.spoil("stall")
        generation = await both.first.accept(QUESTION)
        await both.first.answering(generation)
        await both.stops(both.first)
        await both.spoil()
        await both.first.parts.membership.leave({generation: True})
        assert await ended(both, generation) is Reason.COMPLETED
        record = await both.second.record(generation)
        assert (record.owner, record.attempts) == (both.second.engine.owner, 1)


async def test_one_that_gives_no_sign_of_life_for_a_lease_is_dead(tmp_path) -> None:
    async with pair(tmp_path, store__lease_s=SHORT) as both:
        await both.first.parts.membership.join()
        async with taking_part(both.second):
            await both.spoil("stall")
            generation = await both.first.accept(QUESTION)
            await both.first.answering(generation)
            await both.stops(both.first)
            await both.spoil()
            assert await ended(both, generation) is Reason.COMPLETED


async def test_whoever_lives_keeps_what_it_makes(tmp_path) -> None:
    async with pair(tmp_path, store__lease_s=LONG) as both, taking_part(both.second, both.first):
        await both.spoil("stall")
        generation = await both.first.accept(QUESTION)
        await both.first.answering(generation)
        await both.spoil()
        # Work of one that was never there, so that everybody looks for such.
        orphan = (await asked(both.first, await both.first.converse(), QUESTION)).id
        both.first.parts.peers.tell_left()
        assert await ended(both, orphan) is Reason.COMPLETED
        record = await both.first.record(generation)
        assert (record.owner, record.epoch) == (both.first.engine.owner, 1)


async def test_a_cancel_that_nobody_was_told_of_is_found(tmp_path) -> None:
    async with pair(tmp_path, store__lease_s=SHORT) as both, taking_part(both.first):
        generation = await both.first.accept(STALLED)
        await both.first.answering(generation)
        await both.second.parts.store.writer.submit(Cancel(generation, ALICE, 1))
        log = await both.first.ended(generation)
        assert log.ending is not None
        assert log.ending.reason is Reason.CANCELLED
        assert log.text(Channel.ANSWER)


async def test_what_is_ones_own_and_not_at_work_is_found(tmp_path) -> None:
    async with pair(tmp_path, store__lease_s=LONG) as both:
        conversation = await both.first.converse()
        # As after a write whose answer got lost.
        accepted = await asked(both.first, conversation, QUESTION)
        mine = Adopt(accepted.id, accepted.epoch, both.first.engine.owner)
        await both.first.parts.store.writer.submit(mine)
        async with taking_part(both.first):
            assert await ended(both, accepted.id) is Reason.COMPLETED
