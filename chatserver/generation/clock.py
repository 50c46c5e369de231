"""Time, passed in wherever it matters, so that a test can move it."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds that only grow, for measuring and deadlines."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch, for what is stored."""


class SystemClock:
    # The function itself: it is asked for every token.
    now = staticmethod(time.monotonic)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000
