"""A server that streams logs through one response or another: `python -m loadtests.event_streams`."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import uvicorn
import uvloop
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chatserver.app.listening import address_of, listen
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel, Delta, Ending
from chatserver.generation.position import START
from chatserver.generation.states import Reason
from chatserver.telemetry.metrics import Metrics
from chatserver.transports.bell import Bell
from chatserver.transports.readers import Readers
from chatserver.transports.sources import Encoded, GenerationSource, Opener
from chatserver.transports.sse import EventStream

#: What serves, by the path under which it does.
OURS = "ours"
STARLETTE_BYTES = "sse-starlette, given bytes"
STARLETTE_EVENTS = "sse-starlette, given events"

_HEARTBEAT_S = 15
_MOST_READERS = 10_000


class Ticker:
    """Fills a log for each reader, all of them at one pace."""

    def __init__(self, rate: float, tokens: int) -> None:
        self._interval = 1 / rate
        self._tokens = tokens
        self._growing: dict[Feed, int] = {}

    def feed(self) -> Feed:
        feed = Feed("gen_01kd3v8m7q4w9s2x5z8b1c")
        feed.begin(1, 0)
        self._growing[feed] = self._tokens
        return feed

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self._interval
            await asyncio.sleep(due - loop.time())
            for feed in list(self._growing):
                self._grow(feed)

    def _grow(self, feed: Feed) -> None:
        if not self._growing[feed]:
            del self._growing[feed]
            feed.add(Ending(Reason.COMPLETED, ""))
            return
        self._growing[feed] -= 1
        feed.extend([Delta(Channel.ANSWER, f"{time.time_ns() // 1000} word")])


async def events(open_source: Opener, form: Callable[[Encoded], object]) -> AsyncIterator[object]:
    """Give what our own response sends, as sse-starlette takes it."""
    bell = Bell()
    with open_source(bell.ring) as source:
        while True:
            for frame in await source.read():
                yield form(frame)
            if source.ended:
                return
            await bell.wait()


def as_event(frame: Encoded) -> ServerSentEvent:
    return ServerSentEvent(frame.text, event=frame.type, id=frame.position, sep="\n")


def application(ticker: Ticker) -> Starlette:
    readers = Readers(_MOST_READERS, Metrics())

    def ours(open_source: Opener) -> Response:
        return EventStream(open_source, heartbeat=_HEARTBEAT_S, readers=readers)

    def theirs(form: Callable[[Encoded], object], open_source: Opener) -> Response:
        return EventSourceResponse(events(open_source, form), ping=0, sep="\n")

    def endpoint(respond: Callable[[Opener], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def stream(_request: Request) -> Response:
            return respond(partial(GenerationSource, ticker.feed(), START))

        return stream

    ways: dict[str, Callable[[Opener], Response]] = {
        OURS: ours,
        STARLETTE_BYTES: partial(theirs, lambda frame: frame.sse),
        STARLETTE_EVENTS: partial(theirs, as_event),
    }
    routes = [Route(path_of(name), endpoint(way), methods=["POST"]) for name, way in ways.items()]
    return Starlette(routes=routes)


def path_of(name: str) -> str:
    return "/" + name.replace(", ", "/").replace(" ", "-")


async def _serve(rate: float, tokens: int) -> None:
    listener = listen("127.0.0.1", 0)
    ticker = Ticker(rate, tokens)
    config = uvicorn.Config(
        application(ticker), http="httptools", lifespan="off", log_config=None, access_log=False
    )
    growing = asyncio.create_task(ticker.run(), name="ticker")
    print(f"serving at {address_of(listener)}", flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])
    growing.cancel()


if __name__ == "__main__":
    import sys

    uvloop.run(_serve(float(sys.argv[1]), int(sys.argv[2])))
