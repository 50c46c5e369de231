"""The client of bursts: asks for many streams at once, and while they run only writes down what came when.

A process of its own, so that its work isn't the server's. Reads a job from standard input, says that it is
connected, waits for a word, and says what became of it: one line of JSON each.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, cast

import uvloop

from loadtests.recording import LAST_CHUNK, Read, status_of, tokens_of, while_all_ran

#: Seconds to connect them all.
_CONNECT_S = 10


class Stream(asyncio.Protocol):
    """One connection, one request, and its response as it came."""

    def __init__(self) -> None:
        self.asked = 0
        self.reads: list[Read] = []
        self.whole = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> None:
        assert self._transport is not None
        self.asked = time.time_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.reads.append((time.time_ns(), data))
        if data.endswith(LAST_CHUNK) or (len(data) < len(LAST_CHUNK) and self._ends()):
            self.whole = True
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._finish()

    def close(self) -> None:
        assert self._transport is not None
        self._transport.abort()

    def _ends(self) -> bool:
        """Whether it ends with the last chunk although that came in pieces."""
        return b"".join(data for _, data in self.reads[-len(LAST_CHUNK) :]).endswith(LAST_CHUNK)

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def connect(host: str, port: int, count: int) -> list[Stream]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_CONNECT_S):
        return [(await loop.create_connection(Stream, host, port))[1] for _ in range(count)]


async def ask_all(
    streams: Sequence[Stream], requests: Sequence[bytes], deadline: float, spread: float
) -> None:
    """Ask for all within so many seconds, at once if it is 0, and wait until the last one is over."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number, (stream, request) in enumerate(zip(streams, requests, strict=True)):
        early = begun + spread * number / len(streams) - loop.time()
        if early > 0:
            await asyncio.sleep(early)
        stream.ask(request)
    await asyncio.wait([stream.over for stream in streams], timeout=begun + deadline - loop.time())


def outcome(streams: Sequence[Stream], separator: bytes) -> dict[str, Any]:
    """Say what came, of the streams that came to their end."""
    whole = [stream for stream in streams if stream.whole and status_of(stream.reads) == 200]
    read = [(stream, tokens_of(stream.reads, separator)) for stream in whole]
    tokens = [token for _, found in read for token in found]
    together = while_all_ran([found for _, found in read])
    return {
        "complete": len(whole),
        "tokens": len(tokens),
        "alone": sum(token.alone for token in tokens),
        "first_ms": [found[0].arrived / 1e3 - stream.asked / 1e6 for stream, found in read if found],
        "delays_us": [round(token.arrived - token.sent) for token in tokens],
        "together_us": [round(token.arrived - token.sent) for token in together],
        "refusal": _refusal(streams),
    }


def _refusal(streams: Sequence[Stream]) -> str:
    """Give the beginning of a response that wasn't wanted."""
    bad = [stream for stream in streams if stream.reads and status_of(stream.reads) != 200]
    return bad[0].reads[0][1][:1000].decode(errors="replace") if bad else ""


async def _serve_job(job: dict[str, Any]) -> None:
    requests = [request.encode() for request in job["requests"]]
    streams = await connect(job["host"], job["port"], len(requests))
    _say({"connected": len(streams)})
    # Nothing else is to be done meanwhile, so the loop may stand still.
    sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    await ask_all(streams, requests, job["deadline_s"], job["spread_s"])
    _say({"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu})
    for stream in streams:
        stream.close()
    _say(outcome(streams, job["separator"].encode()))


def _say(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    # A collection would be seen as a delay of the server.
    gc.disable()
    uvloop.run(_serve_job(json.loads(sys.stdin.readline())))
