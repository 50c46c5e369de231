"""Clocks that move when a test says so."""

import asyncio
import time


class MovedClock:
    def __init__(self, now: float = 1000.0) -> None:
        self._now = now

    def move(self, seconds: float) -> None:
        self._now += seconds

    def now(self) -> float:
        return self._now

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + round(1000 * self._now)


class LoopTime:
    """What the event loop takes for the time: it goes on as ever, and jumps where a test lets it pass."""

    def __init__(self) -> None:
        self._more = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._more

    def passes(self, seconds: float) -> None:
        self._more += seconds


def loop_time() -> LoopTime:
    """Have the time of the running loop move; it never goes back, for timers would then come too late."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop.time, LoopTime):
        loop.time = LoopTime()  # type: ignore[method-assign]
    return loop.time  # type: ignore[return-value]
