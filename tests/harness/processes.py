"""Real processes for tests: started on free ports, waited for, and ended by their own ids."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

#: Seconds a process may take to start, and to end once it was told.
START_S = 30
END_S = 40
#: Seconds a simulator's figures may take to become what a test waits for.
STATS_S = 10


class DidNotStart(AssertionError):
    """A process ended, or said nothing, before it listened."""


@dataclass
class Process:
    """A command of ours that prints its address when it listens."""

    arguments: list[str]
    environment: dict[str, str]
    process: asyncio.subprocess.Process | None = None
    url: str = ""
    #: What it said on standard error (servers) or standard output (simulators), line by line.
    lines: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        listening = await self.launch()
        waiting = asyncio.create_task(listening.wait())
        assert self._reader is not None
        done, _ = await asyncio.wait(
            {self._reader, waiting}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        if not listening.is_set():
            raise DidNotStart(f"{self.arguments} didn't start: {done}\n" + "\n".join(self.lines[-20:]))

    async def launch(self) -> asyncio.Event:
        """Start it without waiting; what is given is set as soon as it listens."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "chatserver",
            *self.arguments,
            env={**os.environ, **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
        )
        listening = asyncio.Event()
        self._reader = asyncio.create_task(self._read(listening), name="process output")
        return listening

    async def _read(self, listening: asyncio.Event) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.lines.append(line)
            self._news.set()
            address = _address_in(line)
            if address and not listening.is_set():
                self.url = address
                listening.set()

    async def said(self, words: str, times: int = 1) -> str:
        """Give the last line in which it says so, as soon as it has so many times."""
        async with asyncio.timeout(START_S):
            while len(found := [line for line in self.lines if words in line]) < times:
                self._news.clear()
                await self._news.wait()
        return found[-1]

    @property
    def complaints(self) -> list[str]:
        """What a server logged as an error of its own, which nothing is that others do to it."""
        return [line for line in self.lines if '"level": "error"' in line or '"level": "critical"' in line]

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def kill(self) -> None:
        """End it as a crash would: kill -9."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Kill it, unless it has ended already, and start it again on the same port."""
        await self.kill()
        self.arguments[self.arguments.index("--port") + 1] = self.url.rpartition(":")[2]
        await self.start()

    async def terminate(self) -> int:
        """End it as an operator would; gives the exit code."""
        return await self._end(signal.SIGTERM)

    async def wait(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(END_S):
            code = await self.process.wait()
            if self._reader is not None:
                await self._reader
        return code

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def _end(self, number: int) -> int:
        if self.process is not None and self.process.returncode is None:
            self.signal(number)
        return await self.wait()


def _address_in(line: str) -> str:
    """Find the address in a server's JSON line or a simulator's sentence."""
    if '"serving"' in line:
        return str(json.loads(line)["address"])
    if line.startswith("{"):
        return ""
    words = [word.rstrip(".,") for word in line.split()]
    return next((word for word in words if word.startswith("http://127.0.0.1:")), "")


@asynccontextmanager
async def running(process: Process) -> AsyncIterator[Process]:
    try:
        await process.start()
        yield process
    finally:
        if process.process is not None and process.process.returncode is None:
            await process.kill()


def simulator(*options: str) -> Process:
    """A simulated Ollama: `simulator("--rate", "50", "--diverge")`."""
    return Process(["simulate-ollama", "--port", "0", *options], {})


def server(
    data_dir: Path, upstream: str, settings: Mapping[str, Any] | None = None, port: int = 0
) -> Process:
    """A server with settings as `{"ollama.slots": 200}`."""
    given = {
        "ollama.urls": upstream,
        "server.data_dir": data_dir,
        "log.format": "json",
        # The model gets only what a test asks it, except where titles are the test.
        "housekeeping.titles": False,
        # Tests send as one user what many would; those about limits set their own.
        "limits.messages_per_minute": 1_000_000,
        "limits.per_address_per_minute": 1_000_000,
        "limits.outstanding_per_user": 1_000_000,
        **(settings or {}),
    }
    return Process(["serve", "--port", str(port)], environment_of(given))


def environment_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Write settings as a server reads them from its environment."""
    return {f"CHATSERVER_{name.replace('.', '__').upper()}": str(value) for name, value in settings.items()}


def on_postgres(address: str) -> dict[str, str]:
    """Settings of a server whose conversations are kept there."""
    return {"store.database_url": address, "server.secret": "a secret that all of them share " * 2}


async def simulator_stats(url: str, **wanted: int) -> dict[str, Any]:
    """What a simulator has seen: now, or as soon as its figures are as wanted."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=START_S) as http:
        answer = await http.get("/_sim/stats", params={**wanted, "wait": STATS_S} if wanted else {})
    stats = dict(answer.json())
    assert stats.items() >= wanted.items(), f"{wanted} never came: {stats}"
    return stats
