"""Server-sent events: one source, one response, from a position to the end.

A response of our own instead of sse-starlette's: see ARCHITECTURE.md for what that one costs a token.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatserver.transports.bell import Bell, Pulse, told
from chatserver.transports.readers import Readers
from chatserver.transports.sources import Opener
from chatserver.wire import sse

_HEADERS = {
    # no-transform: compressing or rewriting proxies would hold tokens back.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}
_HEARTBEAT = sse.event("heartbeat", b"{}")

#: Where a scope has the way past the middleware, which only changes heads.
PAST_MIDDLEWARE = "chatserver.past_middleware"


class EventStream(Response):
    """Streams what a source gives until it ends, the client goes, or the server does."""

    media_type = "text/event-stream"

    def __init__(
        self,
        open_source: Opener,
        *,
        heartbeat: float,
        readers: Readers,
        prelude: bytes = b"",
    ) -> None:
        super().__init__(headers=_HEADERS, media_type=self.media_type)
        del self.headers["content-length"]
        self._open_source = open_source
        self._heartbeat = heartbeat
        self._readers = readers
        self._prelude = prelude

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
        else:
            bell = Bell()
            # Refused, where there are too many, before the response has begun.
            with self._readers.reading("sse", bell.ring, expected=bool(self._prelude)):
                await send(start)
                await self._stream(bell, receive, scope.get(PAST_MIDDLEWARE, send))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, bell: Bell, receive: Receive, send: Send) -> None:
        hello = sse.event("hello", orjson.dumps({"heartbeat": told(self._heartbeat)}))
        await send({"type": "http.response.body", "body": self._prelude + hello, "more_body": True})
        async with _until_gone(receive, bell.ring) as gone:
            with self._open_source(bell.ring) as source, Pulse(self._heartbeat, bell.ring) as pulse:

                async def write() -> None:
                    while True:
                        body = b"".join([frame.sse for frame in await source.read()])
                        if pulse.take():
                            body += _HEARTBEAT
                        if body:
                            await send({"type": "http.response.body", "body": body, "more_body": True})
                        if source.ended or (self._readers.draining and not source.expects_more):
                            return
                        await bell.wait()
                        if gone() or self._readers.over:
                            return

                # In a task of its own: each step of a task goes through all coroutines around it, here
                # those of the server, of the middleware and of the routes (6 of 66 µs a token).
                await asyncio.create_task(write(), name="sse writer")


@asynccontextmanager
async def _until_gone(receive: Receive, tell: Callable[[], None]) -> AsyncIterator[Callable[[], bool]]:
    """Listen for the client's going: a send to one who has gone says nothing."""

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    listener = asyncio.create_task(listen(), name="sse disconnect")
    listener.add_done_callback(lambda _: tell())
    try:
        yield listener.done
    finally:
        listener.cancel()
