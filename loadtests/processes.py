"""Processes that a scenario starts: waited for, watched in what they use, ended by their ids."""

import asyncio
import json
import re
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from os import environ, kill, sysconf
from pathlib import Path
from typing import Any

#: Seconds to start, and to end once told.
_START_S = 30
_END_S = 10
#: Bytes of a line; the client's results are long ones.
_LONGEST_LINE = 16 * 2**20
_PROJECT = Path(__file__).parent.parent


class NotStarted(Exception):
    """A process that a scenario needs didn't start."""


class Child:
    """A process, with what it said last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: deque[str] = deque(maxlen=20)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self, pattern: str = "") -> str:
        """Wait for a line that has `pattern` in it."""
        assert self._process.stdout is not None
        while raw := await self._process.stdout.readline():
            line = raw.decode(errors="replace").rstrip()
            if re.search(pattern, line):
                return line
            self._said.append(line)
        raise NotStarted("\n".join(["It ended too early:", *self._said]))

    async def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def facts(self, seconds: float) -> dict[str, Any]:
        """Wait so long for a line of JSON."""
        async with asyncio.timeout(seconds):
            said: dict[str, Any] = json.loads(await self.line(r"^\{"))
            return said

    async def drain_output(self) -> None:
        """Take what it says, so that it never waits for anyone to read it."""
        with suppress(NotStarted):
            await self.line("^(?!)")

    async def end(self) -> None:
        if self._process.returncode is not None:
            return
        # asyncio's own way may take the exit status away from those who wait for it.
        with suppress(ProcessLookupError):
            kill(self.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def running(*command: str | Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[Child]:
    """Run a command until the block is left."""
    child = Child(
        await asyncio.create_subprocess_exec(
            *command,
            env={**environ, **(environment or {})},
            cwd=_PROJECT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LONGEST_LINE,
        )
    )
    try:
        yield child
    finally:
        await child.end()


@asynccontextmanager
async def serving(
    *command: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Child, str]]:
    """Run a Python module that says at which address it listens; give the process and `host:port`."""
    async with running(sys.executable, "-m", *command, environment=environment) as child:
        async with asyncio.timeout(_START_S):
            line = await child.line(r"http://127\.0\.0\.1:\d+")
        address = re.search(r"127\.0\.0\.1:\d+", line)
        assert address is not None
        reader = asyncio.create_task(child.drain_output(), name="output of a server")
        try:
            yield child, address[0]
        finally:
            # Before its output is left alone, for it may have more to say than a pipe holds.
            await child.end()
            reader.cancel()


def cpu_seconds(pid: int) -> float:
    """Tell what a process has used of the processor, in user and kernel, with all its threads.

    utime + stime of /proc/<pid>/stat, but read from the clock behind it: ticks of 10 ms are too coarse
    for a server that takes 0.2 s in a whole run.
    """
    return time.clock_gettime(~pid << 3 | 2)


def stopwatch(watched: Mapping[str, int]) -> Callable[[], dict[str, float]]:
    """Begin to count what processes use of the processor, by name."""
    before = {name: cpu_seconds(pid) for name, pid in watched.items()}
    return lambda: {name: cpu_seconds(pid) - before[name] for name, pid in watched.items()}


def busy_seconds() -> float:
    """Tell what everybody has used of all cores, with what the host has taken from them."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, fields)
    return (user + nice + system + sum(interrupts_and_stolen)) / sysconf("SC_CLK_TCK")
