"""Puts load on an address: many streams asked for at once by a client in a process of its own."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from loadtests.processes import busy_seconds, running, stopwatch

#: Seconds for the client to start, to connect, and to read what it wrote down.
_CLIENT_S = 60
#: What a server has still to do when its last stream is over belongs to it: seconds.
_SETTLE_S = 0.2


class LoadFailed(Exception):
    """Streams that were asked for didn't come as they should."""


@dataclass(frozen=True)
class Job:
    host: str
    port: int
    #: Whole HTTP requests, one for each stream.
    requests: Sequence[str]
    #: What ends a frame.
    separator: str
    #: Seconds for all streams to end.
    deadline_s: float
    #: Seconds over which they are asked for, evenly.
    spread_s: float = 0


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    streams: int
    complete: int
    tokens: int
    #: Tokens that came in a frame of their own.
    alone: int
    #: From asking to the first token, of each stream.
    first_ms: Sequence[float]
    #: From leaving the simulator to arriving, of each token.
    delays_us: Sequence[int]
    #: The same of those tokens only that left while all streams ran.
    together_us: Sequence[int]
    seconds: float
    #: Seconds of processor, of the client and of the processes that were watched.
    cpu_s: Mapping[str, float]
    #: Cores that were busy with something else meanwhile.
    others: float

    @property
    def first_token_ms(self) -> float:
        return median(self.first_ms)

    @property
    def delay_ms(self) -> float:
        return median(self.delays_us) / 1000

    @property
    def alone_share(self) -> float:
        return self.alone / self.tokens

    def cpu_us_per_token(self, name: str) -> float:
        return 1e6 * self.cpu_s[name] / self.tokens


def request(
    path: str, host: str, body: Mapping[str, Any], accept: str = "*/*", *, close: bool = False
) -> str:
    """Write a POST as it stands on the wire; `close` ends the connection after its answer."""
    text = json.dumps(body)
    head = (
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Accept: {accept}",
        "Content-Type: application/json",
        f"Content-Length: {len(text)}",
        *(["Connection: close"] if close else []),
    )
    return "\r\n".join([*head, "", text])


async def put_load(job: Job, watched: Mapping[str, int]) -> Outcome:
    """Run a job; `watched` are processes by name whose use of the processor is of interest."""
    async with running(sys.executable, "-m", "loadtests.client") as client:
        await client.tell(json.dumps(asdict(job)))
        await client.facts(_CLIENT_S)
        used, busy = stopwatch(watched), busy_seconds()
        await client.tell("go")
        ran = await client.facts(job.deadline_s + _CLIENT_S)
        others = busy_seconds() - busy - sum(used().values()) - ran["cpu_s"]
        await asyncio.sleep(_SETTLE_S)
        cpu = {**used(), "client": ran["cpu_s"]}
        read = await client.facts(_CLIENT_S)
    refusal = read.pop("refusal")
    if read["complete"] < len(job.requests) or not read["tokens"]:
        raise LoadFailed(f"Only {read['complete']} of {len(job.requests)} streams came whole. {refusal}")
    seconds = ran["seconds"]
    return Outcome(
        streams=len(job.requests), seconds=seconds, cpu_s=cpu, others=max(0, others / seconds), **read
    )
