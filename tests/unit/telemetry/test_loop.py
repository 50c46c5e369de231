import asyncio
import time

import pytest

from chatserver.telemetry.loop import LoopLag


async def test_the_lag_is_what_was_slept_beyond_the_interval() -> None:
    now = 100.0
    late = iter([0.0, 0.25, -0.001])
    reported: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        try:
            now += seconds + next(late)
        except StopIteration:
            raise asyncio.CancelledError from None

    with pytest.raises(asyncio.CancelledError):
        await LoopLag(reported.append, interval_s=0.5, clock=lambda: now, sleep=sleep).run()
    assert reported == [0.0, 0.25, 0.0]


async def test_a_blocked_event_loop_is_noticed() -> None:
    reported: asyncio.Queue[float] = asyncio.Queue()
    task = asyncio.create_task(LoopLag(reported.put_nowait, interval_s=0.001).run())
    await reported.get()
    time.sleep(0.05)  # noqa: ASYNC251 - blocking the loop is the point
    assert await asyncio.wait_for(reported.get(), 5) > 0.04
    task.cancel()
