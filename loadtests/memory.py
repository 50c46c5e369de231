"""What a process holds: its memory, now and at most."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

#: Seconds between two looks; a look holds up the process for some milliseconds.
_LOOK_S = 0.5


def memory_bytes(pid: int) -> int:
    """Tell a process's own memory; what it shares with others counts in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


class Peak:
    """The most that a process has held while it was looked at."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.bytes = 0

    def look(self) -> None:
        self.bytes = max(self.bytes, memory_bytes(self._pid))

    async def look_on(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()


@asynccontextmanager
async def peak_of(pid: int) -> AsyncIterator[Peak]:
    """Look at a process's memory until the block is left."""
    peak = Peak(pid)
    looking = asyncio.create_task(peak.look_on(), name="memory of a server")
    try:
        yield peak
        peak.look()
    finally:
        looking.cancel()
