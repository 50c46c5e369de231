"""Slots, the wait for them, and clients that leave."""

import asyncio
from contextlib import AsyncExitStack

from tests.unit.upstream.simulator.client import Simulated

STALL = "Hi [[fault=stall]]"


async def hold(simulated: Simulated, stack: AsyncExitStack, count: int) -> None:
    """Have so many answers hang in their middle while the stack is open."""
    for _ in range(count):
        await stack.enter_async_context(simulated.streaming(STALL))


async def test_no_more_answers_than_slots_are_made_and_the_rest_waits_without_limit(start) -> None:
    simulated = await start(parallel=2)
    async with AsyncExitStack() as stack:
        await hold(simulated, stack, 2)
        others = [asyncio.create_task(simulated.say("Hello")) for _ in range(20)]
        await simulated.stats(in_flight=2, waiting=20)
        assert not any(other.done() for other in others)
    await asyncio.gather(*others)
    assert (await simulated.stats(in_flight=0, waiting=0, cancelled=2))["served"] == 20


async def test_each_model_has_its_own_slots(start) -> None:
    simulated = await start(parallel=1)
    async with simulated.streaming(STALL):
        assert await simulated.say("Hello", model="sim-closed")


async def test_who_leaves_in_mid_answer_frees_the_slot(start) -> None:
    simulated = await start(parallel=1)
    async with simulated.streaming("[[fault=endless]]") as answer:
        await anext(answer.aiter_lines())
        await simulated.stats(in_flight=1)
    await simulated.stats(in_flight=0, cancelled=1)
    assert await simulated.say("Hello")


async def test_who_leaves_before_the_first_token_frees_the_slot(start) -> None:
    simulated = await start(parallel=1, first_token_ms=3_600_000)
    task = asyncio.create_task(simulated.chat("Hello"))
    await simulated.stats(in_flight=1)
    task.cancel()
    await simulated.stats(in_flight=0, cancelled=1, tokens=0)


async def test_who_leaves_while_waiting_leaves_the_queue(start) -> None:
    simulated = await start(parallel=1)
    async with simulated.streaming(STALL):
        tasks = [asyncio.create_task(simulated.chat("Hello")) for _ in range(3)]
        await simulated.stats(waiting=3)
        tasks[0].cancel()
        await simulated.stats(waiting=2, cancelled=1, in_flight=1)
    await asyncio.gather(*tasks[1:])
    await simulated.stats(served=2)


async def test_who_leaves_while_the_model_is_loaded_aborts_the_load(start) -> None:
    simulated = await start(load_ms=3_600_000)
    task = asyncio.create_task(simulated.chat("Hello"))
    await simulated.stats(waiting=1)
    task.cancel()
    await simulated.stats(waiting=0, cancelled=1, loads=0)


async def test_who_leaves_an_answer_that_is_not_streamed_frees_the_slot_too(start) -> None:
    simulated = await start(rate=0.001)
    task = asyncio.create_task(simulated.chat("Hello", stream=False))
    await simulated.stats(in_flight=1)
    task.cancel()
    await simulated.stats(in_flight=0, cancelled=1)
