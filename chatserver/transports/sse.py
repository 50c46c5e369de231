"""Server-sent events: one source, one response, from a position to the end.

A response of our own instead of sse-starlette's: see ARCHITECTURE.md for what that one costs a token.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatserver.transports.bell import Bell, Pulse
from chatserver.transports.outlet import OUTLET, Outlet
from chatserver.transports.readers import Readers
from chatserver.transports.sources import Opener, Source
from chatserver.wire import sse
from chatserver.wire.frames import frame_event, seconds_json

_HEADERS = {
    # no-transform: compressing or rewriting proxies would hold tokens back.
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}
_HEARTBEAT = sse.event("heartbeat", b"{}")


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
                await self._stream(bell, receive, send, scope.get(OUTLET))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, bell: Bell, receive: Receive, send: Send, outlet: Outlet | None) -> None:
        hello = sse.event("hello", orjson.dumps({"heartbeat": seconds_json(self._heartbeat)}))
        await send({"type": "http.response.body", "body": self._prelude + hello, "more_body": True})
        quick = _Quick(bell, outlet) if outlet else None
        async with _until_gone(receive, bell.ring) as gone:
            with (
                self._open_source(quick.hear if quick else bell.ring) as source,
                Pulse(self._heartbeat, bell.ring) as pulse,
            ):
                if quick:
                    quick.source = source

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
                # those of the server, of the middleware and of the routes.
                try:
                    await asyncio.create_task(write(), name="sse writer")
                finally:
                    if quick:
                        # Each knows the other: a circle would wait for the collector.
                        quick.source = None


class _Quick:
    """Writes news for a writer that waits and needn't be woken for them, as nearly all tokens come.

    Waking its task, and sending as applications do, took a sixth of a token's time.
    """

    __slots__ = ("_bell", "_due", "_loop", "_outlet", "source")

    def __init__(self, bell: Bell, outlet: Outlet) -> None:
        self._bell = bell
        self._outlet = outlet
        self._loop = asyncio.get_running_loop()
        self._due = False
        self.source: Source | None = None

    def hear(self) -> None:
        """Take note of news; called in the middle of an append."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._due = False
        # While the writer has a reason of its own to wake, or something in its hands, order is its business.
        if self.source is not None and self._bell.has_waiter and self._outlet.free:
            events = self.source.glance(frame_event)
            if events:
                self._outlet.write(events)
                if self.source.expects_more:
                    return
        self._bell.ring()


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
