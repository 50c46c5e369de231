"""The server's own generations: on one way with all others, but behind every person's turn."""

import asyncio

import pytest
from sqlalchemy import func, select

from chatserver.engine.chores import Chores, Made
from chatserver.errors import Draining, NotFound
from chatserver.generation.states import Lane, Purpose, Reason, Status
from chatserver.storage.deleting import DeleteConversation
from chatserver.storage.tables import generations
from tests.unit.engine.talks import answered, chores_of
from tests.unit.works import ALICE, PATIENCE, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = [{"role": "user", "content": "[[fault=stall]] [[tokens=8]]"}]
SHORT = [{"role": "user", "content": "[[tokens=3]]"}]


async def begun(works: Works, chores: Chores, messages=STALLED) -> asyncio.Task[Made | None]:
    """One that has the slot, and that the model server works on."""
    conversation = await works.converse()
    about = await answered(works, conversation, "Hello?", "Hello!")
    making = asyncio.create_task(chores.make(Purpose.SUMMARY, about, messages, 40))
    await works.stats(in_flight=1)
    return making


async def left(works: Works) -> int:
    """How many of them the store still has."""
    query = select(func.count()).where(generations.c.purpose.is_not(None))
    [row] = await works.parts.store.database.rows(query)
    return row[0]


async def test_a_chore_is_answered_in_the_background_and_leaves_nothing_behind(alone) -> None:
    chores = chores_of(alone)
    about = await answered(alone, await alone.converse(), "Hello?", "Hello!")
    made = await chores.make(Purpose.TITLE, about, SHORT, 40)
    assert made is not None
    assert made.tokens == 3
    assert made.text
    assert await left(alone) == 0
    assert list(alone.engine.jobs()) == []
    [body] = await alone.bodies(1)
    assert body["think"] is False
    assert body["options"]["num_predict"] == 40


async def test_nobodys_allowance_is_touched(alone) -> None:
    chores = chores_of(alone)
    making = await begun(alone, chores)
    assert alone.engine._jobs.unfinished(f"user {ALICE.user}") == 0
    making.cancel()
    await alone.clear()


async def test_a_turn_never_waits_for_a_chore(alone) -> None:
    chores = chores_of(alone)
    making = await begun(alone, chores)
    # There is one slot, and the chore would have kept it for ever.
    turn = await alone.accept("[[tokens=3]]")
    log = await alone.ended(turn)
    assert log.ending.reason is Reason.COMPLETED
    # It made way and is begun again when the slot is free.
    await alone.stats(in_flight=1)
    assert not making.done()
    making.cancel()
    await alone.clear()
    await asyncio.wait({making})
    assert await left(alone) == 0


async def test_work_that_may_take_its_time_waits_for_a_chore(alone) -> None:
    making = await begun(alone, chores_of(alone))
    [chore] = alone.engine.jobs()
    waiting = await alone.accept("[[tokens=3]]", lane=Lane.BACKGROUND)
    assert alone.feed(waiting).place.position == 1
    assert chore.stopped is None
    making.cancel()
    alone.engine.cancel(chore.generation)
    await alone.ended(waiting)


async def test_a_chore_starts_only_when_no_turn_waits(alone) -> None:
    chores = chores_of(alone)
    about = await answered(alone, await alone.converse(), "Hello?", "Hello!")
    running = await alone.accept("[[fault=stall]] [[tokens=8]]")
    await alone.answering(running)
    making = asyncio.create_task(chores.make(Purpose.TITLE, about, SHORT, 40))
    await until(lambda: alone.engine.lanes()[Lane.BACKGROUND][0] == 1)
    turns = [await alone.accept("[[tokens=2]]") for _ in range(3)]
    alone.engine.cancel(running)
    made = await making
    assert made is not None
    # All three were there before it.
    records = [await alone.record(turn) for turn in turns]
    assert {record.status for record in records} == {Status.COMPLETED}


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the engine tells nobody who waits in it
            await asyncio.sleep(0)


async def test_who_always_has_to_make_way_gives_up(alone) -> None:
    chores = chores_of(alone)
    making = await begun(alone, chores)
    for _ in range(5):
        await alone.stats(in_flight=1)
        await alone.ended(await alone.accept("[[tokens=1]]"))
    assert await making is None
    assert await left(alone) == 0


async def test_a_chore_that_fails_brings_nothing(alone) -> None:
    about = await answered(alone, await alone.converse(), "Hello?", "Hello!")
    messages = [{"role": "user", "content": "[[fault=status-500]]"}]
    assert await chores_of(alone).make(Purpose.TITLE, about, messages, 40) is None
    assert await left(alone) == 0


async def test_a_chore_ends_with_its_conversation(alone) -> None:
    making = await begun(alone, chores_of(alone))
    [chore] = alone.engine.jobs()
    conversation = chore.record.conversation
    gone = await alone.parts.store.writer.submit(DeleteConversation(ALICE, conversation))
    assert chore.generation in gone
    alone.engine.forget(gone)
    # It isn't begun again.
    with pytest.raises(NotFound):
        await making
    await alone.stats(in_flight=0)
    assert list(alone.engine.jobs()) == []


async def test_a_drain_does_not_wait_for_chores(alone) -> None:
    making = await begun(alone, chores_of(alone))
    alone.engine.drain()
    await alone.idle()
    with pytest.raises(Draining):
        await making
    assert await left(alone) == 0


async def test_what_was_left_of_a_chore_is_gone_at_the_next_start(tmp_path) -> None:
    async with working(tmp_path) as works:
        making = await begun(works, chores_of(works))
        await works.parts.checkpoints.save()
        async with works.writer_held():
            making.cancel()
            await works.engine.close()
    async with working(tmp_path) as works:
        assert await left(works) == 0
        assert list(works.engine.jobs()) == []
