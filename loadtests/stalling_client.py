"""The client of stalled readers: reads answers as they come, and beside them opens readers that stop reading.

A process of its own, so that its work isn't the server's. Reads a job from standard input, says by which
ports the stalled ones came, then how the others fared, and leaves at the next word.
"""

import asyncio
import gc
import json
import re
import socket
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, cast

import uvloop

from loadtests.measures import quantiles
from loadtests.recording import LAST_CHUNK
from loadtests.socket_client import handshake, text_frame

_GENERATION = re.compile(rb'"generation":\{"id":"(\w+)"')
#: Bytes that the kernel keeps for one that doesn't read; the least it knows is about this.
_STALLED_BUFFER = 4096
#: Seconds to connect and be answered.
_OPENING_S = 30
#: The part of an answer in which readers that stall have done so: before, they are served like all others.
#: At the end all answers are stored at the same moment, which is another question.
LATER = (1 / 3, 0.9)
#: Times between tokens are told as so many values.
_QUANTILES = 1_000


@dataclass(frozen=True)
class StallingJob:
    host: str
    port: int
    #: Whole HTTP requests, one for each answer.
    requests: Sequence[str]
    #: Readers that stop reading, spread over the answers; every other one by WebSocket.
    stalled: int
    #: Seconds for the answers to end.
    deadline_s: float


class Healthy(asyncio.Protocol):
    """A reader that only takes down when something came, and how much."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.times: list[int] = []
        self.sizes: list[int] = []
        self.generation: asyncio.Future[str] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self.whole = False
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> None:
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self.generation.done():
            self._look_for_generation(data)
            return
        self.times.append(time.time_ns())
        self.sizes.append(len(data))
        if data.endswith(LAST_CHUNK):
            self.whole = True
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._finish()

    def _look_for_generation(self, data: bytes) -> None:
        self._head += data
        found = _GENERATION.search(self._head)
        if found:
            self.generation.set_result(found[1].decode())

    def _finish(self) -> None:
        self.generation.cancel()
        if not self.over.done():
            self.over.set_result(None)


class Stalled(asyncio.Protocol):
    """A reader that says what it wants, reads the beginning, and never again."""

    def __init__(self, sayings: Sequence[bytes]) -> None:
        self._sayings = list(sayings)
        self.stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._say_next()

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        if self._sayings:
            self._say_next()
        else:
            self._transport.pause_reading()
            if not self.stopped.done():
                self.stopped.set_result(None)

    def _say_next(self) -> None:
        self._transport.write(self._sayings.pop(0))


def stalled_sayings(job: StallingJob, number: int, generation: str) -> list[bytes]:
    if number % 2:
        follow = json.dumps({"type": "subscribe", "generation": generation})
        return [handshake(job.host, job.port), text_frame(follow)]
    lines = (
        f"GET /api/v1/generations/{generation}/events HTTP/1.1",
        f"Host: {job.host}:{job.port}",
        "Accept: text/event-stream",
    )
    return ["\r\n".join([*lines, "", ""]).encode()]


async def open_healthy(job: StallingJob) -> list[Healthy]:
    loop = asyncio.get_running_loop()
    readers = [(await loop.create_connection(Healthy, job.host, job.port))[1] for _ in job.requests]
    for reader, request in zip(readers, job.requests, strict=True):
        reader.ask(request.encode())
    return readers


async def open_stalled(job: StallingJob, generations: Sequence[str]) -> list[int]:
    """Open them, and give the ports they came by."""
    loop = asyncio.get_running_loop()
    ports = []
    for number in range(job.stalled):
        sayings = stalled_sayings(job, number, generations[number // 2 % len(generations)])
        plug = socket.socket()
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STALLED_BUFFER)
        plug.setblocking(False)
        await loop.sock_connect(plug, (job.host, job.port))
        _, reader = await loop.create_connection(partial(Stalled, sayings), sock=plug)
        await reader.stopped
        ports.append(plug.getsockname()[1])
    return ports


async def _serve_job(job: StallingJob) -> None:
    readers = await open_healthy(job)
    async with asyncio.timeout(_OPENING_S):
        generations = [await reader.generation for reader in readers]
        _say({"ports": await open_stalled(job, generations)})
    began, cpu = time.monotonic(), time.process_time()
    await asyncio.wait([reader.over for reader in readers], timeout=job.deadline_s)
    used = {"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}
    _say({**used, **outcome(readers)})
    # The stalled ones stay until they are thrown out.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def outcome(readers: Sequence[Healthy]) -> dict[str, Any]:
    whole = [reader for reader in readers if reader.whole]
    return {
        "complete": len(whole),
        "progress": progress(whole),
        "gaps_ms": gaps_ms(whole, 0, 1),
        "later_gaps_ms": gaps_ms(whole, *LATER),
    }


def progress(readers: Sequence[Healthy]) -> list[tuple[int, int]]:
    """Tell how many bytes had come in all by when, about a hundred times."""
    reads = sorted(pair for reader in readers for pair in zip(reader.times, reader.sizes, strict=True))
    totals = accumulate(size for _, size in reads)
    points = [(when, total) for (when, _), total in zip(reads, totals, strict=True)]
    return points[:: len(points) // 100 + 1]


def gaps_ms(readers: Sequence[Healthy], begin: float, end: float) -> list[float]:
    """Tell the times between two readings, evenly by rank, of a part of each answer."""
    found: list[float] = []
    for reader in readers:
        totals = list(accumulate(reader.sizes))
        first, last = (bisect_left(totals, share * totals[-1]) for share in (begin, end))
        found += [(later - earlier) / 1e6 for earlier, later in pairwise(reader.times[first : last + 1])]
    return quantiles(found, _QUANTILES) if found else []


def _say(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    # A collection would be seen as a delay of the server.
    gc.disable()
    uvloop.run(_serve_job(StallingJob(**json.loads(sys.stdin.readline()))))
