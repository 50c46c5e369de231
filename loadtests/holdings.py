"""What a serving process holds: as it says itself in its metrics, and as the kernel has it in /proc."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

#: Seconds that the metrics may take, until nothing moves any more, and between two looks meanwhile.
_METRICS_S = 20
_REST_S = 20
_LOOK_S = 0.05
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Holdings:
    tasks: int
    #: Generations that haven't ended.
    generations: int
    #: Slots of model servers.
    slots: int
    #: Streams, polls and WebSockets.
    readers: int
    #: Sockets of all kinds, and all other open files.
    sockets: int
    files: int
    #: Bytes of memory.
    memory: int

    def counted(self) -> dict[str, int]:
        """All but the memory, which is never the same to the byte."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "memory"}

    def beyond(self, before: "Holdings") -> dict[str, int]:
        """Tell of what there is more than before, and how much. Less there may be: idle connections end."""
        more = {name: count - before.counted()[name] for name, count in self.counted().items()}
        return {name: count for name, count in more.items() if count > 0}


class Inspector:
    """Looks at one process again and again, over one connection."""

    def __init__(self, http: httpx.AsyncClient, pid: int) -> None:
        self._http = http
        self._pid = pid

    async def look(self) -> Holdings:
        answer = await self._http.get("/metrics")
        sums: Counter[str] = Counter()
        for family in text_string_to_metric_families(answer.raise_for_status().text):
            for sample in family.samples:
                sums[sample.name] += int(sample.value)
        open_files = Counter(target.startswith("socket:") for target in _descriptors(self._pid))
        return Holdings(
            tasks=sums["chatserver_asyncio_tasks"],
            generations=sums["chatserver_generations"],
            slots=sums["chatserver_slots_taken"],
            readers=sums["chatserver_connections"],
            sockets=open_files[True],
            files=open_files[False],
            memory=resident_bytes(self._pid),
        )

    async def at_rest(self) -> Holdings:
        """Wait until nothing is made or read any more, and two looks find the same."""
        async with asyncio.timeout(_REST_S):
            found, last = await self.look(), None
            while found.generations or found.readers or last is None or found.counted() != last.counted():
                await asyncio.sleep(_LOOK_S)
                found, last = await self.look(), found
        return found

    async def settled(self, before: Holdings, seconds: float = _REST_S) -> Holdings:
        """Give what is held as soon as it is no more than before, or what it is after so long."""
        found = await self.look()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while found.beyond(before):
                    await asyncio.sleep(_LOOK_S)
                    found = await self.look()
        return found


@asynccontextmanager
async def inspecting(url: str, pid: int) -> AsyncIterator[Inspector]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=_METRICS_S) as http:
        yield Inspector(http, pid)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def _descriptors(pid: int) -> Iterator[str]:
    for entry in os.scandir(f"/proc/{pid}/fd"):
        # It may be closed while it is looked at.
        with suppress(FileNotFoundError):
            yield str(Path(entry.path).readlink())
