"""One WebSocket: a reader that never stops, a writer that is never waited for, many logs between them."""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from chatserver.access.allowance import Caller
from chatserver.access.gate import Gate, address_of
from chatserver.access.hosts import Hosts
from chatserver.access.tickets import Grant
from chatserver.chat.conversing import Conversing, Turn
from chatserver.chat.work import Work
from chatserver.errors import ChatserverError, PayloadTooLarge, RequestError
from chatserver.generation.position import START, Position
from chatserver.generation.principal import Principal
from chatserver.storage.turns import Current
from chatserver.telemetry.metrics import Metrics
from chatserver.transports.messages import (
    Cancel,
    Message,
    Ping,
    Send,
    Subscribe,
    Unsubscribe,
    Unwatch,
    Watch,
    read_message,
)
from chatserver.transports.outgoing import Flooded, Outgoing
from chatserver.transports.outlet import OUTLET
from chatserver.transports.readers import Readers
from chatserver.transports.sources import Sources, change_number
from chatserver.wire.frames import seconds_json
from chatserver.wire.inbound import parse_object
from chatserver.wire.problems import problem_facts

SUBPROTOCOL = "chatserver.v1"
#: Messages that may wait to be acted on; a client that sends more at once is not a chat.
_INBOX = 256

#: Not WebSocket at all, and text that isn't UTF-8.
_PROTOCOL_VIOLATIONS = {1002, 1007}
_OUR_FAULT = 1011
_RESTART = 1012

log = structlog.get_logger()


@dataclass(frozen=True)
class WebSockets:
    """What every WebSocket of the server shares."""

    hosts: Hosts
    gate: Gate
    conversing: Conversing
    work: Work
    sources: Sources
    readers: Readers
    metrics: Metrics
    #: Seconds between protocol pings, which the server's own WebSocket protocol sends.
    heartbeat: float
    most_subscriptions: int
    #: What a client is told in `ready`.
    limits: dict[str, int]

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection from its handshake to its close."""
        # A browser sees why it was refused only in the code of a close, so it is let in first.
        offered = websocket.scope.get("subprotocols", ())
        await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
        try:
            self.hosts.check(websocket.headers.get("host", ""))
            connection = Connection(self, websocket, self.gate.reader(websocket, Grant.WEBSOCKET, ""))
            with self.readers.reading("websocket", connection.leave):
                await connection.run()
        except ChatserverError as error:
            self.metrics.rejected(error.code, error.setting)
            await websocket.close(error.close_code, error.code)


class Connection:
    def __init__(self, shared: WebSockets, websocket: WebSocket, principal: Principal) -> None:
        self._shared = shared
        self._websocket = websocket
        self._principal = principal
        self._request_id = str(websocket.scope.get("state", {}).get("request_id", ""))
        self._caller = Caller(principal, address_of(websocket))
        self._outgoing = Outgoing(shared.most_subscriptions, websocket.scope.get(OUTLET))
        self._inbox: deque[str] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._close_with = (_RESTART, "restart")

    async def run(self) -> None:
        outgoing = self._outgoing
        heartbeat, limits = seconds_json(self._shared.heartbeat), self._shared.limits
        outgoing.answer({"type": "ready", "heartbeat": heartbeat, "limits": limits})
        reader = asyncio.create_task(self._read(), name="ws reader")
        writer = asyncio.create_task(outgoing.write(self._websocket.send_text), name="ws writer")
        tasks = {reader, writer}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(tasks)
        if writer.done() and not writer.cancelled() and writer.exception() is None:
            await self._close()

    def leave(self) -> None:
        """Close once the answers are sent, or once it follows nothing unfinished, to be opened elsewhere."""
        if self._shared.readers.over:
            self._outgoing.finish()
        else:
            self._outgoing.finish_when(lambda: self._idle and not self._outgoing.expects_more)

    async def _end(self, tasks: set[asyncio.Task[None]]) -> None:
        if self._worker is not None:
            tasks.add(self._worker)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                log.error("websocket_failed", exc_info=result)
        self._outgoing.close()

    async def _close(self) -> None:
        code, reason = self._close_with
        with suppress(RuntimeError, WebSocketDisconnect):
            await self._websocket.close(code, reason)

    async def _read(self) -> None:
        """Read for ever: pongs and the client's going are only seen by who reads."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                self._count_violation(message.get("code"))
                return
            text = message.get("text")
            if len(self._inbox) >= _INBOX:
                self._end_flooded()
                # What else comes waits in the socket, until this task is ended.
                await asyncio.get_running_loop().create_future()
            # A binary frame is answered like any other message that can't be read.
            self._inbox.append(text or "")
            self._work()

    def _count_violation(self, code: int | None) -> None:
        """Count what ended the connection before it came here as a message."""
        if code == PayloadTooLarge.close_code:
            self._shared.metrics.rejected(PayloadTooLarge.code, "message_bytes")
        elif code == Flooded.close_code:
            self._shared.metrics.rejected(Flooded.code)
        elif code in _PROTOCOL_VIOLATIONS:
            self._shared.metrics.rejected(RequestError.code)

    def _end_flooded(self) -> None:
        self._shared.metrics.rejected(Flooded.code)
        self._end_with(Flooded.close_code, Flooded.code)

    def _end_with(self, code: int, reason: str) -> None:
        self._close_with = (code, reason)
        self._inbox.clear()
        self._outgoing.finish()

    @property
    def _idle(self) -> bool:
        return self._worker is None or self._worker.done()

    def _work(self) -> None:
        """Have the inbox worked off; an idle connection has no task for it."""
        if self._idle:
            self._worker = asyncio.create_task(self._work_off(), name="ws worker")
            self._worker.add_done_callback(lambda _: self._outgoing.wake())

    async def _work_off(self) -> None:
        while self._inbox and not self._outgoing.closing:
            try:
                await self._act(self._inbox.popleft())
            except Flooded:
                self._end_flooded()
            except Exception:
                log.exception("websocket_message_failed")
                self._end_with(_OUR_FAULT, "internal error")

    async def _act(self, text: str) -> None:
        ref = None
        try:
            value = parse_object(text)
            ref = value.get("ref")
            await self._answer_to(read_message(value))
        except Flooded:
            raise
        except ChatserverError as error:
            self._shared.metrics.rejected(error.code, error.setting)
            facts = problem_facts(error, self._request_id)
            known = ref if isinstance(ref, str) and len(ref) <= 64 else None
            self._outgoing.answer({**facts, "type": "error", "ref": known})

    async def _answer_to(self, message: Message) -> None:
        outgoing = self._outgoing
        match message:
            case Send():
                await self._send(message)
            case Subscribe():
                await self._subscribe(message)
            case Watch():
                await self._watch(message)
            case Unsubscribe(generation=name) | Unwatch(conversation=name):
                outgoing.leave(name)
                outgoing.answer(_ok(message.ref))
            case Cancel():
                await self._shared.work.cancel(self._principal, message.generation)
                outgoing.answer(_ok(message.ref))
            case Ping():
                outgoing.answer({"type": "pong", **({"ref": message.ref} if message.ref else {})})

    async def _send(self, message: Send) -> None:
        turn = Turn(
            content=message.content,
            parent=message.parent if "parent" in message.model_fields_set else Current.LEAF,
            model=message.model,
            options=message.options.given() if message.options else None,
        )
        shared = self._shared
        receipt = await shared.conversing.send(
            self._caller, message.conversation, turn, message.ref, self._outgoing.check_room
        )
        opener = await shared.sources.generation(self._principal, receipt.generation, START)
        # One step: nothing is sent between the two, so `accepted` comes before the first frame.
        self._outgoing.follow(receipt.generation, opener)
        self._outgoing.answer({"type": "accepted", "ref": message.ref, **orjson.loads(receipt.body)})

    async def _subscribe(self, message: Subscribe) -> None:
        after = START if message.after is None else Position.parse(message.after)
        opener = await self._shared.sources.generation(self._principal, message.generation, after)
        source = self._outgoing.follow(message.generation, opener)
        if source.ended:
            self._outgoing.leave(message.generation)
            self._outgoing.answer({**_ok(message.ref), "ended": True})
        else:
            self._outgoing.answer(_ok(message.ref))

    async def _watch(self, message: Watch) -> None:
        after = change_number(message.after) if isinstance(message.after, str) else message.after
        opener = await self._shared.sources.conversation(self._principal, message.conversation, after)
        self._outgoing.follow(message.conversation, opener)
        self._outgoing.answer(_ok(message.ref))


def _ok(ref: str | None) -> dict[str, Any]:
    return {"type": "ok", "ref": ref}
