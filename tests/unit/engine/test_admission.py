import asyncio
from contextlib import ExitStack, suppress

import pytest

from chatserver.errors import Full
from chatserver.generation.states import Lane, Reason
from tests.unit.engine.ends import STALLED, check_at_rest, check_ended
from tests.unit.works import ALICE, MODEL, working

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_beyond_its_bound_the_queue_refuses_and_keeps_nothing(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1, limits__waiting=2) as works:
        running = await works.accept(STALLED)
        waiting = [await works.accept(STALLED) for _ in range(2)]
        with pytest.raises(Full):
            await works.accept()
        assert len(list(works.engine.jobs())) == 3
        works.engine.cancel(waiting[0])
        works.engine.cancel(await works.accept(STALLED))
        for each in (running, waiting[1]):
            works.engine.cancel(each)
        await check_at_rest(works)


async def test_room_is_kept_for_what_is_being_stored(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1, limits__waiting=2) as works:
        async with works.writer_held():
            accepting = [asyncio.create_task(works.accept(STALLED)) for _ in range(9)]
            await asyncio.sleep(0)
        accepted = await asyncio.gather(*accepting, return_exceptions=True)
        assert [type(each) for each in accepted] == [str] * 3 + [Full] * 6
        for each in accepted[:3]:
            works.engine.cancel(str(each))
        await check_at_rest(works)


async def test_what_gets_a_slot_needs_no_place_in_the_queue(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1, limits__waiting=1) as works:
        running = await works.accept(STALLED)
        async with works.writer_held():
            waiting = asyncio.create_task(works.accept(STALLED))
            await asyncio.sleep(0)
            works.engine.cancel(running)
            while works.engine.slots_taken:  # noqa: ASYNC110 - a slot that is given back tells nobody
                await asyncio.sleep(0)
            another = asyncio.create_task(works.accept(STALLED))
            await asyncio.sleep(0)
        for each in (await waiting, await another):
            works.engine.cancel(each)
        await check_at_rest(works)


async def test_what_there_will_be_no_room_for_is_refused_before_it_is_prepared(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1, limits__waiting=2) as works:
        with ExitStack() as prepared:
            # One for the slot, two for the queue.
            for _ in range(3):
                prepared.enter_context(works.engine.preparing("alice"))
            with pytest.raises(Full):
                prepared.enter_context(works.engine.preparing("alice"))
        accepted = [await works.accept(STALLED) for _ in range(2)]
        with works.engine.preparing("alice"), pytest.raises(Full), works.engine.preparing("alice"):
            pass
        for each in accepted:
            works.engine.cancel(each)
        await check_at_rest(works)


async def test_what_is_accepted_gives_way_to_what_is_being_accepted(works) -> None:
    admissions = works.engine._admissions
    await admissions.lull()
    with works.engine.coming():
        waiting = asyncio.create_task(admissions.lull())
        with works.engine.preparing("alice"):
            pass
        with works.engine.admit("gen_x", ALICE, MODEL, Lane.INTERACTIVE):
            pass
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_it_runs_in_the_end_however_many_are_being_accepted(works) -> None:
    with works.engine.coming():
        await works.ended(await works.accept("[[tokens=2]]"))
    await check_at_rest(works)


async def test_what_could_not_be_stored_gives_its_room_and_its_slot_back(works) -> None:
    for _ in range(3):
        with (
            suppress(ZeroDivisionError),
            works.engine.admit("gen_x", ALICE, MODEL, Lane.INTERACTIVE) as admission,
        ):
            assert admission.slot is not None
            raise ZeroDivisionError
    with works.engine.admit("gen_x", ALICE, MODEL, Lane.INTERACTIVE):
        # Its slot is taken, so this one waits for it.
        waiting = await works.accept()
    await check_ended(works, waiting, Reason.COMPLETED)
    await check_at_rest(works)
