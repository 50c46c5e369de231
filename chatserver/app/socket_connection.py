"""A WebSocket's connection: who breaks the protocol learns why before it is cut, who floods is cut."""

import asyncio
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from chatserver.transports.outgoing import Flooded
from chatserver.transports.outlet import OUTLET

#: Seconds in which a peer may finish what it says; cut in the middle of it, it would never see the close.
_LAST_WORDS_S = 1.0
#: Bytes that it may say after the close. What was on its way fits in.
_LAST_WORDS = 2**20
#: Bytes looked at in one go: a read can bring tens of thousands of empty frames, and others wait meanwhile.
_SLICE = 16 * 1024
#: Messages a second. A page sends a few, and one for each thing it follows when it comes back. Each costs
#: 20 µs, or 500 where something is looked up: one connection that sent all it could took most of the process.
_MESSAGES_A_SECOND = 300
#: Frames a second that are no message: pings, pongs, pieces. Nobody has so many to send; each costs 3 µs.
_FRAMES_A_SECOND = 2_000
#: Pieces of a message kept apart; empty ones weigh nothing in the message's size.
_PIECES = 256


class SocketConnection(WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self._messages = _Rate(_MESSAGES_A_SECOND)
        self._other_frames = _Rate(_FRAMES_A_SECOND)
        self._after_close = 0

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope[OUTLET] = MessageOutlet(self.conn, self.transport, self.writable)  # type: ignore[literal-required]

    def data_received(self, data: bytes) -> None:
        if self.close_sent:
            self._after_close += len(data)
            if self._after_close > _LAST_WORDS:
                self.transport.close()
        for at in range(0, len(data), _SLICE):
            if self.transport.is_closing():
                return
            super().data_received(data[at : at + _SLICE])

    async def send(self, message: Any) -> None:
        try:
            await super().send(message)
        except RuntimeError:
            if not self.close_sent:
                raise
            # The application can't know of a close that wasn't its own; nobody listens to it any more.
            raise ClientDisconnected from None

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        # It has been answered. While the answer waits for a peer that doesn't read, a shutdown says no more.
        self.close_sent = True

    def handle_text(self, event: Frame) -> None:
        if not self._floods(self._messages):
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if not self._floods(self._messages):
            super().handle_bytes(event)

    def handle_ping(self) -> None:
        if not self._floods(self._other_frames):
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if not self._floods(self._other_frames):
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        if not self._floods(self._other_frames):
            super().handle_cont(event)
            if len(self.frames) > _PIECES:
                self.frames = [b"".join(self.frames)]

    def _floods(self, rate: "_Rate") -> bool:
        """Count a frame; with one too many the connection is closed, and what follows isn't looked at."""
        if self.close_sent:
            return True
        if not rate.is_exceeded(self.loop.time()):
            return False
        self.conn.fail(Flooded.close_code, Flooded.code)
        self.handle_parser_exception()
        return True

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            # uvicorn would take it for an error of ours.
            self.frames = []
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Close with the code that the parser has found, and read on for a moment; uvicorn cuts at once."""
        if self.close_sent:
            return
        self.close_sent = True
        close = self.conn.close_sent
        assert close is not None
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_LAST_WORDS_S, self.transport.close)


class _Rate:
    """Counts how many come within a second."""

    __slots__ = ("_count", "_most", "_second")

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = 0
        self._count = 0

    def is_exceeded(self, now: float) -> bool:
        """Count one more; true if it is one too many."""
        if self._second != int(now):
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count > self._most


class MessageOutlet:
    """Writes whole messages. While it is open the protocol has no part in them: nothing is compressed."""

    __slots__ = ("_conn", "_transport", "_writable")

    def __init__(self, conn: ServerProtocol, transport: asyncio.Transport, writable: asyncio.Event) -> None:
        self._conn = conn
        self._transport = transport
        self._writable = writable

    @property
    def free(self) -> bool:
        return self._conn.state is State.OPEN and self._writable.is_set() and not self._transport.is_closing()

    def write(self, piece: bytes) -> None:
        self._transport.write(piece)


def _is_utf8(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
