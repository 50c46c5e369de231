"""How late the event loop comes to what is due: every reader and every token waits at least as long."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class LoopLag:
    """Sleeps again and again, and reports by how many seconds it was woken too late."""

    def __init__(
        self,
        report: Callable[[float], None],
        *,
        interval_s: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._report = report
        self._interval_s = interval_s
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            due = self._clock() + self._interval_s
            await self._sleep(self._interval_s)
            # Clocks are coarse: a wake-up may seem to come a little early.
            self._report(max(0.0, self._clock() - due))
