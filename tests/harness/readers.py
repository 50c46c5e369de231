"""Readers of a generation over each transport: they can be cut at any moment and go on over another one."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress

import httpx
from websockets.exceptions import WebSocketException

from tests.harness.client import Client, Refused
from tests.harness.received import Frame, Received
from tests.harness.sse import stream
from tests.harness.websocket import socket

#: Reads on from where `received` stands, and gives each frame that it took.
Transport = Callable[[Client, Received], AsyncGenerator[Frame]]

#: Seconds until a reader must have read what it waits for.
READ_S = 45
#: Seconds a long-poll waits, and a reader before it comes back after a loss.
_POLL_S = 20
_COME_BACK_S = 0.05
#: Statuses that ask to try again: an instance's own, and those of a proxy that got no answer from one.
LATER = frozenset({502, 503, 504})


async def by_sse(client: Client, received: Received) -> AsyncGenerator[Frame]:
    headers = {} if received.after is None else {"Last-Event-ID": received.after}
    path = f"/generations/{received.generation}/events"
    async with stream(client, path, headers=headers) as events:
        async for event in events:
            if event.name in {"hello", "heartbeat"}:
                assert event.id is None
                continue
            assert (event.name, event.id) == (event.data["type"], event.data.get("id"))
            received.take(event.data)
            yield event.data


async def by_longpoll(client: Client, received: Received) -> AsyncGenerator[Frame]:
    path = f"/generations/{received.generation}/events?wait={_POLL_S}"
    while True:
        after = "" if received.after is None else f"&after={received.after}"
        answer = await client.call("GET", path + after)
        for frame in answer["events"]:
            received.take(frame)
            yield frame
        received.after = answer["after"]
        if answer["ended"]:
            return


async def by_websocket(client: Client, received: Received) -> AsyncGenerator[Frame]:
    async with socket(client.url, cookies=client.cookies) as opened:
        after = {} if received.after is None else {"after": received.after}
        answer = await opened.ask("subscribe", generation=received.generation, **after)
        if answer["type"] == "error":
            raise Refused(answer)
        assert [frame["type"] for frame in opened.earlier] == ["ready"]
        opened.earlier.clear()
        while not answer.get("ended") and received.end is None:
            frame = await opened.receive()
            received.take(frame)
            yield frame


TRANSPORTS: tuple[Transport, ...] = (by_sse, by_longpoll, by_websocket)


async def read(
    client: Client,
    received: Received,
    transport: Transport,
    until: Callable[[Received], bool] = lambda _: False,
) -> Received:
    """Read until `until` says that it is enough, or to the end of the connection; then cut it."""
    received.connected()
    async with asyncio.timeout(READ_S), aclosing(transport(client, received)) as frames:
        async for _ in frames:
            if until(received):
                break
    return received


class Moment:
    """The moment when something is true of what readers have read; they give `look` for their `until`."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition = condition
        self._come = asyncio.Event()

    def look(self, _: Received) -> bool:
        if self._condition():
            self._come.set()
        return False

    async def wait(self) -> None:
        async with asyncio.timeout(READ_S):
            await self._come.wait()


async def read_whole(client: Client, generation: str, transport: Transport = by_sse) -> Received:
    """Read from the start to the end over one connection."""
    received = await read(client, Received(generation), transport)
    assert received.end is not None, f"{generation}: {transport.__name__} stopped at {received.after}"
    return received


async def read_briefly(client: Client, received: Received, transport: Transport, seconds: float) -> None:
    """Read for so long, wherever that ends: in a frame, before the first one, while connecting."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await read(client, received, transport)


async def read_through(
    client: Client,
    received: Received,
    transports: Iterator[Transport],
    until: Callable[[Received], bool] = lambda _: False,
    seconds: float = READ_S,
) -> Received:
    """Do so whatever happens to the server: each loss is followed by the next transport."""
    async with asyncio.timeout(seconds):
        while received.end is None and not until(received):
            try:
                await read(client, received, next(transports), until)
            except (httpx.TransportError, WebSocketException, OSError):
                await asyncio.sleep(_COME_BACK_S)
            except Refused as refused:
                if refused.problem["status"] not in LATER:
                    raise
                await asyncio.sleep(_COME_BACK_S)
    return received
