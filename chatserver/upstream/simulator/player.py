"""Plays one script to one client: each token at its time, and the end as it was decided."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from starlette.types import Send

from chatserver.upstream.simulator.connection import Connection
from chatserver.upstream.simulator.lines import GARBAGE, Lines, Measures, Piece, error_line
from chatserver.upstream.simulator.pace import Pace
from chatserver.upstream.simulator.script import RUNNER_DIED, Ending, Script
from chatserver.upstream.simulator.stats import Stats

_NDJSON = b"application/x-ndjson"
JSON = b"application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Began:
    """When the work on a request reached its stages, in nanoseconds of the monotonic clock."""

    arrived: int
    loaded: int
    slot: int


class Player:
    """One answer on its way out."""

    def __init__(
        self, script: Script, lines: Lines, pace: Pace, *, began: Began, prompt_tokens: int, stats: Stats
    ) -> None:
        self._script = script
        self._lines = lines
        self._pace = pace
        self._began = began
        self._prompt_tokens = prompt_tokens
        self._stats = stats
        self._first = 0
        self._sent = 0

    async def stream(self, send: Send, connection: Connection) -> None:
        """Send line by line; the headers leave with the first one."""
        response = _Response(send)

        async def write(pieces: list[Piece]) -> None:
            await response.write(self._lines.encode(pieces))

        await self._each_in_time(write)
        match self._script.ending:
            case Ending.DONE:
                await response.write(
                    self._lines.done(self._script.reason, self._measures(), self._script.extra)
                )
                await response.end()
            case Ending.CUT:
                await response.end()
            case Ending.ERROR:
                await response.fail(RUNNER_DIED)
            case ending:
                await _leave_hanging(ending, connection)

    async def whole(self, send: Send, connection: Connection) -> None:
        """Send everything as one JSON when it is all there."""
        pieces: list[Piece] = []

        async def collect(ready: list[Piece]) -> None:
            pieces.extend(ready)

        await self._each_in_time(collect)
        if ("", "garbage") in pieces:
            await respond(send, 200, GARBAGE)
            return
        match self._script.ending:
            case Ending.DONE:
                await respond(send, 200, self._as_one(pieces, self._script.reason, self._script.extra))
            case Ending.CUT:
                await respond(send, 200, self._as_one(pieces, None, {}))
            case Ending.ERROR:
                await respond(send, 500, error_line(RUNNER_DIED))
            case ending:
                await _leave_hanging(ending, connection)

    def _as_one(self, pieces: list[Piece], reason: str | None, extra: Mapping[str, Any]) -> bytes:
        return self._lines.whole(pieces, reason, self._measures() if reason else Measures(), extra)

    async def _each_in_time(self, take: Callable[[list[Piece]], Awaitable[None]]) -> None:
        """Hand out the pieces when they are due, several at once where the loop was late."""
        clock = asyncio.get_running_loop().time
        pieces = iter(self._script.pieces)
        while True:
            now = clock()
            ready = self._pace.ready(self._sent, now)
            if ready <= 0:
                await asyncio.sleep(self._pace.due(self._sent) - now)
                continue
            self._first = self._first or time.monotonic_ns()
            batch = list(islice(pieces, ready))
            if not batch:
                return
            await take(batch)
            self._sent += len(batch)
            self._stats.tokens += len(batch)
            if self._pace.rate is None:
                # Nothing else would let the loop see a client that has left.
                await asyncio.sleep(0)

    def _measures(self) -> Measures:
        now = time.monotonic_ns()
        return Measures(
            total_duration=now - self._began.arrived,
            load_duration=self._began.loaded - self._began.arrived,
            prompt_eval_count=self._prompt_tokens,
            prompt_eval_duration=self._first - self._began.slot,
            eval_count=self._sent,
            eval_duration=now - self._first,
        )


class _Response:
    """An NDJSON response which begins with its first line."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False

    async def write(self, lines: bytes) -> None:
        if not self._begun:
            await self._begin()
        await self._send({"type": "http.response.body", "body": lines, "more_body": True})

    async def end(self) -> None:
        if not self._begun:
            await self._begin()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def fail(self, sentence: str) -> None:
        """Before the first line an error has its status, after it only a line."""
        if not self._begun:
            await respond(self._send, 500, error_line(sentence))
            return
        await self.write(error_line(sentence))
        await self.end()

    async def _begin(self) -> None:
        self._begun = True
        await _start(self._send, 200, [(b"content-type", _NDJSON)])


async def respond(send: Send, status: int, body: bytes) -> None:
    """Send one JSON."""
    await _start(send, status, [(b"content-type", JSON), (b"content-length", b"%d" % len(body))])
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _start(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _leave_hanging(ending: Ending, connection: Connection) -> None:
    """Wait to be cancelled, which happens when the connection is gone."""
    if ending is Ending.RESET:
        connection.reset()
    await asyncio.Event().wait()
