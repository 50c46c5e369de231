"""HTTP/1.1 for one purpose: a request whose answer's bytes go straight from the socket to whoever takes them.

No task wakes and no queue fills between the socket and the taker, which is why this isn't a library's
client: read through httpx on aiohttp, a token cost a quarter more in all. Everything else is asked that way.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

#: Bytes kept of an answer that isn't a good one.
LONGEST_REFUSAL = 64 * 1024
#: Bytes read in one turn of the event loop, some hundred tokens. While a server that is faster than we are is
#: read, every other answer waits.
_MOST_AT_ONCE = 16 * 1024
_GOOD = 200
#: Only say that the answer is yet to come. 101 isn't among them: nothing but HTTP was asked for.
_PROVISIONAL = frozenset({100, *range(102, 200)})

#: Takes the bytes of an answer as they come; True when it needs no more of them.
TakeBytes = Callable[[bytes], bool]


class BrokenExchangeError(Exception):
    """The connection was lost or never made, or what came over it isn't HTTP."""


class Exchange(asyncio.BufferedProtocol):
    """One request and its answer, on a connection of their own."""

    #: What is read is parsed before anything else happens, so one place is enough for all of them.
    _buffer = memoryview(bytearray(_MOST_AT_ONCE))

    def __init__(self, take: TakeBytes) -> None:
        loop = asyncio.get_running_loop()
        self._take = take
        self._transport: asyncio.Transport | None = None
        #: Until it is closed: each knows the other, and a circle would wait for the collector.
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        #: What is being read isn't the answer yet.
        self._provisional = False
        #: The status, once the head of the answer is here.
        self.status: asyncio.Future[int] = loop.create_future()
        #: The end of the answer.
        self.complete: asyncio.Future[None] = loop.create_future()
        #: The beginning of an answer that isn't a good one.
        self.refusal = bytearray()
        for awaited in (self.status, self.complete):
            # Whoever leaves early asks for neither.
            awaited.add_done_callback(_look_at)

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        self._parser = None
        if self._transport is not None:
            self._transport.abort()

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, not the base class.
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._parser is None:
            return
        if nbytes == _MOST_AT_ONCE:
            self._let_others_read()
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (HttpParserError, HttpParserUpgrade) as error:
            # What `take` raised arrives inside the parser's own error.
            self._fail(error.__context__ or BrokenExchangeError("The answer isn't HTTP."))

    def _let_others_read(self) -> None:
        """Go on in the next turn of the loop: a socket is read until it is empty, however long that takes."""
        assert self._transport is not None
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        if self._take == self._keep_refusal:
            # Its status says what matters, however much of its text came.
            self._complete()
        self._fail(BrokenExchangeError("The connection was lost."))

    # Called by the parser

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        self._provisional = status in _PROVISIONAL
        if self._provisional:
            return
        if status != _GOOD:
            self._take = self._keep_refusal
        if not self.status.done():
            self.status.set_result(status)

    def on_body(self, body: bytes) -> None:
        if not self.complete.done() and self._take(body):
            self._complete()

    def on_message_complete(self) -> None:
        if not self._provisional:
            self._complete()

    def _complete(self) -> None:
        if not self.complete.done():
            self.complete.set_result(None)

    def _keep_refusal(self, body: bytes) -> bool:
        self.refusal += body[: LONGEST_REFUSAL - len(self.refusal)]
        return False

    def _fail(self, error: BaseException) -> None:
        self.close()
        for awaited in (self.status, self.complete):
            if not awaited.done():
                awaited.set_exception(error)


class Exchanges:
    """How to reach one server.

    Each request has a connection of its own: none can turn out to be stale, so nothing is ever sent twice.
    """

    def __init__(self, base_url: str, connect_timeout: float, trusted: ssl.SSLContext) -> None:
        address = urlsplit(base_url)
        self._host = address.hostname or ""
        self._port = address.port or (443 if address.scheme == "https" else 80)
        self._prefix = address.path.rstrip("/")
        self._netloc = address.netloc
        self._tls = trusted if address.scheme == "https" else None
        self._connect_timeout = connect_timeout

    @asynccontextmanager
    async def post(self, path: str, body: bytes, take: TakeBytes) -> AsyncIterator[Exchange]:
        """Post JSON; the body of a good answer goes to `take` as it comes.

        Leaving closes the connection, which is how a model is told to stop.
        """
        exchange = await self._connect(take)
        try:
            exchange.send(self._head(path, len(body)) + body)
            yield exchange
        finally:
            exchange.close()

    async def _connect(self, take: TakeBytes) -> Exchange:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, exchange = await loop.create_connection(
                    lambda: Exchange(take), self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:
            raise BrokenExchangeError("No connection could be made.") from error
        return exchange

    def _head(self, path: str, length: int) -> bytes:
        return (
            f"POST {self._prefix}{path} HTTP/1.1\r\nHost: {self._netloc}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()


def _look_at(awaited: asyncio.Future[int] | asyncio.Future[None]) -> None:
    if not awaited.cancelled():
        awaited.exception()
