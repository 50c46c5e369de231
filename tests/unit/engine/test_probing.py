import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chatserver.engine.probing import beginning, goes_on
from chatserver.upstream.simulator import Fault as Spoiled
from chatserver.upstream.simulator import SimulatorOptions
from tests.unit.asgi import PATIENCE
from tests.unit.clock import MovedClock
from tests.unit.works import MODEL, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"
#: (model, whether it goes on)
MODELS = [
    ("sim-chat:latest", True),
    ("sim-think:latest", True),
    ("sim-tools:latest", True),
    ("sim-closed:latest", False),
]
#: What takes so long that something else can happen meanwhile.
SLOW = SimulatorOptions(rate=20)


async def known(works: Works, model: str = MODEL) -> bool | None:
    return await works.parts.templates.go_on(model)


async def answered(works: Works, model: str = MODEL) -> None:
    await works.ended(await works.accept("[[tokens=2]]", model=model))
    await works.idle()


@asynccontextmanager
async def asking(works: Works) -> AsyncIterator[asyncio.Task[None]]:
    """Let models be asked, and leave when one is being asked."""
    task = asyncio.create_task(works.parts.probing.look())
    try:
        await works.stats(in_flight=1)
        yield task
    finally:
        async with asyncio.timeout(PATIENCE):
            await task


@pytest.mark.parametrize("diverge", [False, True])
@pytest.mark.parametrize(("model", "continues"), MODELS)
async def test_a_model_that_answers_is_asked_once_whether_it_goes_on(
    tmp_path, model, continues, diverge
) -> None:
    async with working(tmp_path, SimulatorOptions(diverge=diverge)) as works:
        await answered(works, model)
        assert await known(works, model) is None
        await works.parts.probing.look()
        assert await known(works, model) is continues
        before = await works.stats()
        await answered(works, model)
        await works.parts.probing.look()
        after = await works.stats()
        assert after["requests"]["/api/chat"] == before["requests"]["/api/chat"] + 1
        # Its options were those of every other request.
        assert after["loads"] == 1


async def test_what_was_found_out_outlives_the_process(tmp_path) -> None:
    async with working(tmp_path) as works:
        await answered(works)
        await works.parts.probing.look()
    async with working(tmp_path) as works:
        assert await known(works) is True
        await answered(works)
        await works.parts.probing.look()
        assert (await works.stats())["requests"]["/api/chat"] == 1


async def test_nobody_is_asked_who_has_not_answered(tmp_path) -> None:
    async with working(tmp_path) as works:
        await works.parts.probing.look()
        assert "/api/chat" not in (await works.stats())["requests"]


async def test_while_all_slots_are_taken_nobody_is_asked(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        generation = await works.accept(STALLED)
        await works.answering(generation)
        await works.parts.probing.look()
        assert (await works.stats())["requests"]["/api/chat"] == 1
        works.engine.cancel(generation)
        await works.idle()
        await works.parts.probing.look()
        assert await known(works) is True


async def test_whoever_needs_the_slot_has_it_at_once(tmp_path) -> None:
    async with working(tmp_path, SLOW, ollama__slots=1) as works:
        await answered(works)
        async with asking(works) as task:
            generation = await works.accept("[[tokens=2]]")
            async with asyncio.timeout(PATIENCE):
                await task
            assert await known(works) is None
            await works.ended(generation)
        assert works.engine.slots_taken == 0


async def test_a_drain_gives_the_slot_back(tmp_path) -> None:
    async with working(tmp_path, SLOW) as works:
        await answered(works)
        async with asking(works):
            works.engine.drain()
        assert works.engine.slots_taken == 0
        await works.parts.probing.look()
        assert await known(works) is None


async def test_a_model_that_does_not_answer_is_asked_again_later(tmp_path) -> None:
    clock = MovedClock()
    failing = SimulatorOptions(faults=(Spoiled("status-503"),))
    async with working(tmp_path, failing, clock=clock) as works:
        await answered(works)
        for _ in range(2):
            await works.parts.probing.look()
        assert (await works.stats())["requests"]["/api/chat"] == 2
        assert await known(works) is None
        clock.move(61)
        await works.parts.probing.look()
        assert (await works.stats())["requests"]["/api/chat"] == 3


async def test_of_a_model_that_is_gone_nothing_is_asked(tmp_path) -> None:
    async with working(tmp_path) as works:
        await works.ended(await works.accept(model="nobody-has-it"))
        await works.parts.probing.look()
        assert (await works.stats())["requests"]["/api/chat"] == 1
        assert await known(works, "nobody-has-it") is None


#: (what a model says, what it is shown of that)
ANSWERS = [
    ("1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11", "1, 2, 3, 4, 5, 6, 7, 8, 9"),
    ("1,2,3,4,5,6,7,8,9,10", "1,2,3,4,5,6,7,8,9"),
    (" 1, 2, 3, 4, 5, 6, 7, 8, 9, 1", "1, 2, 3, 4, 5, 6, 7, 8, 9"),
    ("1, 2, 3, 4, 5, 6, 7, 8, 9", None),
    ("Sure! 1, 2, 3, 4, 5, 6, 7, 8, 9, 10", None),
    ("1\n2\n3\n4\n5\n6\n7\n8\n9\n10", None),
    ("", None),
]


@pytest.mark.parametrize(("answer", "shown"), ANSWERS)
async def test_a_model_is_shown_the_first_numbers_of_its_answer(answer, shown) -> None:
    assert beginning(answer) == shown


@pytest.mark.parametrize(
    ("rest", "verdict"),
    [
        (", 10, 11", True),
        (" ,10", True),
        ("10, 11", False),
        ("1, 2, 3", False),
        ("Sure, here", False),
        ("", False),
    ],
)
async def test_only_what_follows_a_number_goes_on(rest, verdict) -> None:
    assert goes_on(rest) is verdict
