"""One TCP connection around its requests: how many there are, and how long and how large a head may be.

uvicorn itself waits for ever for a request, and reads a head of any size.
"""

import secrets
from asyncio import TimerHandle, Transport
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from chatserver.access.frontier import SECURITY_HEADERS
from chatserver.api.problems import problem_response
from chatserver.errors import ChatserverError, Full, HeadTooLarge, RequestError, RequestTimeout
from chatserver.settings import LimitSettings
from chatserver.telemetry.metrics import Metrics
from chatserver.transports.outlet import OUTLET

#: Requests that may wait behind the one that is being answered. Browsers send none ahead.
_AHEAD = 16
#: Bytes that wait in the process for a peer whose socket is full, before whoever writes to it waits too.
_WRITE_AHEAD = 16 * 1024
#: Seconds in which a peer that was refused may finish what it says; cut at once, it would see only that.
_LAST_WORDS_S = 1.0


@dataclass(frozen=True)
class Door:
    """What every connection is held to; uvicorn calls it to make one."""

    limits: LimitSettings
    metrics: Metrics

    def __call__(self, **given: Any) -> "HttpConnection":
        return HttpConnection(self, **given)


class HttpConnection(HttpToolsProtocol):
    """uvicorn's own protocol, with a deadline for heads, and a short way out for streams."""

    def __init__(self, door: Door, **given: Any) -> None:
        super().__init__(**given)
        self._door = door
        #: When the head has to be here; none while no head is awaited.
        self._deadline: TimerHandle | None = None
        #: A head is being read.
        self._in_head = False
        #: Bytes of it that the parser has given out, and bytes that it was given since the last request or
        #: piece of a body.
        self._head_parsed = 0
        self._head_read = 0
        #: The request that is being answered; uvicorn itself knows the newest one only.
        self._answering: RequestResponseCycle | None = None
        #: It speaks WebSocket now, by another protocol.
        self._upgraded = False
        #: Nothing that comes is looked at any more.
        self._refused = False
        #: What the parser was stopped for.
        self._refusal: ChatserverError | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_WRITE_AHEAD)
        if len(self.connections) > self._door.limits.sockets:
            self._refuse(Full("This server has as many sockets open as it takes.", setting="sockets"))
            self.transport.close()
        else:
            self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            self._head_read += len(data)
            super().data_received(data)
            self._look_at_head()

    def _look_at_head(self) -> None:
        if self._refused or self._upgraded:
            return
        # Beyond a head as well: what a chunked body ends with is collected like one.
        if self._head_read > self._door.limits.head_bytes:
            self._refuse(self._too_large())
        elif self._deadline is None and (self._in_head or self._idle):
            self._set_deadline()

    @property
    def _idle(self) -> bool:
        """Nothing is being answered; what comes then and is no head ends uvicorn's own wait for one."""
        # Before the first request there is none, whatever its type says.
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    def handle_websocket_upgrade(self) -> None:
        self._upgraded = True
        super().handle_websocket_upgrade()
        # As when a connection is lost, which it hears of no more: each knows the other.
        self.parser = None  # type: ignore[assignment]
        if not self.transport.get_protocol().handshake_initiated:  # type: ignore[attr-defined]
            # What reads handshakes is stricter, and uvicorn waits on when it has given up.
            self._refuse(
                RequestError("This handshake can't be read: it has too many headers, or too long ones.")
            )

    def on_message_begin(self) -> None:
        self._in_head, self._head_parsed = True, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._clear_deadline()
        if len(self.pipeline) >= _AHEAD:
            self._stop(RequestError(f"At most {_AHEAD} requests may be sent ahead."))
        if sum(name == b"host" for name, _ in self.headers) > 1:
            # A proxy before us may have looked at the other one.
            self._stop(RequestError("A request is made to one host."))
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_read = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        # What else came with its last bytes is left out: no more than was read at once.
        self._head_read = 0
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        cycle.scope[OUTLET] = ChunkOutlet(cycle.flow, cycle.transport)  # type: ignore[literal-required]
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Answer what isn't HTTP, or was stopped, as everything else is answered."""
        self._refuse(self._refusal or RequestError(msg))

    def _count(self, size: int) -> None:
        self._head_parsed += size
        if self._head_parsed > self._door.limits.head_bytes:
            self._stop(self._too_large())

    def _stop(self, refusal: ChatserverError) -> None:
        # The parser turns it into an error of its own, for which uvicorn calls send_400_response.
        self._refusal = refusal
        raise refusal

    def _too_large(self) -> HeadTooLarge:
        limit = self._door.limits.head_bytes
        return HeadTooLarge(
            f"The head of a request may have {limit} bytes.", limit=limit, setting="head_bytes"
        )

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self._door.limits.head_timeout_s, self._come_too_late)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _come_too_late(self) -> None:
        self._deadline = None
        if self.flow.read_paused:
            # It is us who don't read on: requests before this one are being answered.
            self._set_deadline()
        elif self._in_head:
            seconds = self._door.limits.head_timeout_s
            late = f"The head of the request wasn't complete after {seconds:g} seconds."
            self._refuse(RequestTimeout(late, setting="head_timeout_s"))
        else:
            # Nothing was asked, so there is nothing to answer: browsers open connections in advance.
            self.transport.close()

    def _answers_nothing(self) -> bool:
        """Whether a refusal may be said; who works on an answer is told then that nobody waits for it."""
        if self._idle:
            return True
        answering = self._answering
        if answering is None or answering is not self.cycle or answering.response_started:
            return False
        answering.disconnected = True
        answering.message_event.set()
        return True

    def _refuse(self, error: ChatserverError) -> None:
        """Say why, unless an answer is on its way, and close."""
        self._refused = True
        self._clear_deadline()
        self._door.metrics.rejected(error.code, error.setting)
        if self.transport.is_closing() or not self._answers_nothing():
            self.transport.close()
            return
        self.transport.write(_answer(error, self.server_state.default_headers))
        self.transport.write_eof()
        self._deadline = self.loop.call_later(_LAST_WORDS_S, self.transport.close)


class ChunkOutlet:
    """Writes pieces of a body that has no length, and so is sent in chunks, as the cycle itself would.

    It doesn't know the cycle, whose scope holds it: a circle would wait for the collector.
    """

    __slots__ = ("_flow", "_transport")

    def __init__(self, flow: FlowControl, transport: Transport) -> None:
        self._flow = flow
        self._transport = transport

    @property
    def free(self) -> bool:
        return not (self._flow.write_paused or self._transport.is_closing())

    def write(self, piece: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))


def _answer(error: ChatserverError, defaults: list[tuple[bytes, bytes]]) -> bytes:
    """Write a whole problem document, for when there is no request that the application could answer."""
    request_id = secrets.token_hex(16)
    response = problem_response(error, request_id)
    response.headers.update({**SECURITY_HEADERS, "X-Request-ID": request_id, "Connection": "close"})
    headers = b"".join(b"%b: %b\r\n" % header for header in [*defaults, *response.raw_headers])
    return STATUS_LINE[response.status_code] + headers + b"\r\n" + bytes(response.body)
