import asyncio
from contextlib import suppress

from chatserver.transports.bell import Bell, Pulse


async def rings(bell: Bell) -> bool:
    """Tell whether it has rung by now, without waiting for a ring to come."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await bell.wait()
            return True
    return False


async def test_a_ring_wakes_who_waits() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    bell.ring()
    await asyncio.wait_for(waiting, 5)


async def test_a_ring_that_finds_nobody_waiting_is_remembered_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert await rings(bell)
    assert not await rings(bell)


async def test_many_rings_at_once_wake_once() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    for _ in range(3):
        bell.ring()
    await waiting
    assert not await rings(bell)


async def test_a_ring_in_the_very_step_in_which_the_waiter_is_stopped_is_not_lost() -> None:
    bell = Bell()
    for stop_first in (True, False):
        waiting = asyncio.create_task(bell.wait())
        await asyncio.sleep(0)
        if stop_first:
            waiting.cancel()
        bell.ring()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await rings(bell)


async def test_it_is_awaited_until_it_rings() -> None:
    bell = Bell()
    assert not bell.has_waiter
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    assert bell.has_waiter
    bell.ring()
    assert not bell.has_waiter
    await waiting
    assert not bell.has_waiter


async def test_a_ring_after_the_waiter_was_stopped_harms_nobody() -> None:
    bell = Bell()
    assert not await rings(bell)
    bell.ring()
    assert await rings(bell)


async def pulsed(bell: Bell, pulse: Pulse) -> None:
    """Wait for a ring of the pulse; on a busy machine one is heard that was taken with the one before."""
    await bell.wait()
    while not pulse.take():
        await bell.wait()


async def test_a_pulse_rings_again_and_again_and_says_once_that_it_was_the_one() -> None:
    bell = Bell()
    with Pulse(0.002, bell.ring) as pulse:
        for _ in range(3):
            assert not pulse.take()
            await asyncio.wait_for(pulsed(bell, pulse), 5)
            assert not pulse.take()


async def test_after_the_end_of_a_pulse_nothing_rings() -> None:
    bell = Bell()
    with Pulse(0.001, bell.ring) as pulse:
        await asyncio.wait_for(bell.wait(), 5)
    # On a busy machine it has rung once more before its end.
    pulse.take()
    await rings(bell)
    await asyncio.sleep(0.005)
    assert not pulse.take()
    assert not await rings(bell)
