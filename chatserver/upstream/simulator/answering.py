"""From a request to a played answer: the checks, the model, a slot, the words, the wire."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from starlette.types import Receive, Scope, Send

from chatserver.upstream.simulator.arrivals import refuse_connection
from chatserver.upstream.simulator.completions import Completion
from chatserver.upstream.simulator.connection import (
    Connection,
    connection_of,
    run_until_disconnected,
)
from chatserver.upstream.simulator.faults import FAULTS, FaultBoard
from chatserver.upstream.simulator.lines import Lines, Measures
from chatserver.upstream.simulator.options import SimulatorOptions
from chatserver.upstream.simulator.pace import Pace
from chatserver.upstream.simulator.player import Began, Player, respond
from chatserver.upstream.simulator.refusals import SERVER_BUSY, Failure, Refusal
from chatserver.upstream.simulator.runners import Runner, Runners
from chatserver.upstream.simulator.script import RUNNER_DIED, Ending
from chatserver.upstream.simulator.stats import Outcome, Stats
from chatserver.upstream.simulator.writer import Writer

_MOST_BODY = 64 * 1024 * 1024
#: The faults that are drawn here; connections were refused before, unless the message asks for it.
_FAULTS = tuple(name for name in FAULTS if name != "refuse")


@dataclass(frozen=True, slots=True)
class Server:
    """What all endpoints of one simulated server share."""

    options: SimulatorOptions
    stats: Stats
    board: FaultBoard
    runners: Runners
    writer: Writer


class Answering:
    """The endpoint for chat or for generate, as a plain ASGI application."""

    def __init__(self, server: Server, read: Callable[[bytes, int], Completion]) -> None:
        self._server = server
        self._read = read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.monotonic_ns()
        body = await read_body(receive)
        self._server.stats.keep(scope["path"], body)
        connection = connection_of(scope)
        try:
            completion = self._read(body, self._server.options.context_length)
            fault = self._server.board.draw(_FAULTS, *completion.wished_faults())
            if fault == "refuse":
                self._server.stats.ended("faulted")
                await refuse_connection(scope, receive)
                return
            refuse_for(fault)
            work = _Work(self._server, completion, fault, arrived, connection)
            ended = await run_until_disconnected(receive, work.run(send))
            self._server.stats.ended(work.outcome if ended or work.outcome == "faulted" else "cancelled")
        except Refusal as refusal:
            self._server.stats.ended(refusal.outcome)
            await respond(send, refusal.status, orjson.dumps({"error": refusal.sentence}))


class _Work:
    """The work on one request, which ends early when its client leaves."""

    def __init__(
        self, server: Server, completion: Completion, fault: str | None, arrived: int, connection: Connection
    ) -> None:
        self._server = server
        self._completion = completion
        self._fault = fault
        self._arrived = arrived
        self._connection = connection
        self.outcome: Outcome = "served"

    async def run(self, send: Send) -> None:
        completion, keep_alive = self._completion, self._completion.request.keep_alive
        if completion.empty and keep_alive == 0:
            self._server.runners.unload(completion.model)
            await self._respond_empty(send, "unload")
            return
        async with self._server.runners.use(completion.model, completion.launch, keep_alive) as runner:
            if completion.empty:
                await self._respond_empty(send, "load")
                return
            await self._answer(runner, send)

    async def _answer(self, runner: Runner, send: Send) -> None:
        loaded = time.monotonic_ns()
        async with self._server.runners.slot(runner):
            began = Began(self._arrived, loaded, time.monotonic_ns())
            prompt = self._completion.prompt()
            if self._completion.request.debug_render_only:
                await self._respond_rendered(send, prompt.text)
                return
            script = self._server.writer.write(self._completion, prompt, self._fault)
            if script.ending in (Ending.CUT, Ending.ERROR, Ending.RESET):
                self.outcome = "faulted"
            player = Player(
                script,
                self._lines(),
                self._pace(),
                began=began,
                prompt_tokens=prompt.tokens,
                stats=self._server.stats,
            )
            play = player.stream if self._completion.request.stream else player.whole
            await play(send, self._connection)

    def _lines(self) -> Lines:
        completion = self._completion
        return Lines(completion.shape, completion.request.model, stamped=completion.stamped)

    def _pace(self) -> Pace:
        options = self._server.options
        wait = options.first_token_ms / 1000
        if self._fault == "slow-first-token":
            wait = options.slow_first_token_s
        return Pace(asyncio.get_running_loop().time() + wait, options.rate)

    async def _respond_empty(self, send: Send, reason: str) -> None:
        await respond(send, 200, self._lines().whole([], reason, Measures(), {}))

    async def _respond_rendered(self, send: Send, text: str) -> None:
        line = orjson.loads(self._lines().whole([], None, Measures(), {}))
        await respond(send, 200, orjson.dumps(line | {"_debug_info": {"rendered_template": text}}))


async def read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > _MOST_BODY:
            raise Refusal(413, "http: request body too large")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def refuse_for(fault: str | None) -> None:
    if fault == "status-500":
        raise Failure(500, RUNNER_DIED)
    if fault == "status-503":
        raise Failure(503, SERVER_BUSY)
