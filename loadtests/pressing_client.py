"""The client that asks at its own pace, whatever becomes of what it asked: each time on a new connection.

A process of its own, so that its work isn't the server's. Reads a job from standard input, and says what
became of it as one line of JSON. Times begin before the connection is made.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import uvloop

from loadtests.client import Stream
from loadtests.load import Job
from loadtests.recording import status_of, tokens_of

_GOOD = 200
#: What a server says that has enough to do, or has heard enough of somebody.
_REFUSALS = frozenset({429, 503})
#: The last frame is shorter.
_END_BYTES = 500
_COMPLETED = b'"reason":"completed"'


async def press(job: Job) -> tuple[list[Stream | BaseException], list[float]]:
    """Ask for one after the other, evenly over the job's time.

    Gives what came of each, and how many seconds too late each was asked for: this client's own lag.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    asking, lags = [], []
    for number, request in enumerate(job.requests):
        due = begun + job.spread_s * number / len(job.requests)
        await asyncio.sleep(due - loop.time())
        lags.append(max(0.0, loop.time() - due))
        asking.append(asyncio.create_task(_ask(job, request.encode())))
    return await asyncio.gather(*asking, return_exceptions=True), lags


async def _ask(job: Job, request: bytes) -> Stream:
    begun = time.time_ns()
    async with asyncio.timeout(job.deadline_s):
        _, stream = await asyncio.get_running_loop().create_connection(Stream, job.host, job.port)
        stream.ask(request)
        stream.asked = begun
        try:
            await stream.over
        finally:
            stream.close()
    return stream


def outcome(found: Sequence[Stream | BaseException], separator: bytes) -> dict[str, Any]:
    answered, refused, failed = [], [], []
    for one in found:
        if isinstance(one, BaseException):
            failed.append(repr(one))
        elif status_of(one.reads) in _REFUSALS:
            refused.append(one)
        elif _is_answered(one):
            answered.append((one, tokens_of(one.reads, separator)))
        else:
            failed.append(_last_words(one))
    return {
        "answered": len(answered),
        "first_ms": [tokens[0].arrived / 1e3 - stream.asked / 1e6 for stream, tokens in answered],
        "delays_ms": [(token.arrived - token.sent) / 1000 for _, tokens in answered for token in tokens],
        "refused_ms": [(stream.reads[0][0] - stream.asked) / 1e6 for stream in refused],
        "failed": len(failed),
        "why": failed[0] if failed else "",
    }


def _is_answered(stream: Stream) -> bool:
    return status_of(stream.reads) == _GOOD and stream.whole and _COMPLETED in _end_of(stream)


def _last_words(stream: Stream) -> str:
    return _end_of(stream).decode(errors="replace")


def _end_of(stream: Stream) -> bytes:
    return b"".join(data for _, data in stream.reads)[-_END_BYTES:]


async def _serve_job(job: Job) -> None:
    began, cpu = time.monotonic(), time.process_time()
    found, lags = await press(job)
    used = {"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}
    own = {**used, "lags_ms": [1000 * lag for lag in lags]}
    print(json.dumps({**own, **outcome(found, job.separator.encode())}), flush=True)


if __name__ == "__main__":
    # A collection would be seen as a delay of the server.
    gc.disable()
    uvloop.run(_serve_job(Job(**json.loads(sys.stdin.readline()))))
