"""A proxy as they stand between browsers and servers: blocks WebSockets, holds events, cuts."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

#: Bytes of a request's head, and of what is passed on at once.
_LONGEST_HEAD = 64 * 1024
_CHUNK = 64 * 1024


@dataclass
class Proxy:
    """One request a connection. What it does to them can be changed while it runs."""

    #: "http://127.0.0.1:8000"
    target: str
    #: Refuse to open WebSockets, as many office networks do.
    blocks_websockets: bool = False
    #: Keep a stream of events until it is whole, as proxies do that buffer.
    holds_events: bool = False
    #: Take connections and break them at once.
    away: bool = False
    url: str = ""
    #: How readers came: "websocket", "sse" or "longpoll", in order.
    readers: list[str] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def go_away(self) -> None:
        self.away = True
        self.cut()

    def cut(self) -> None:
        """Break all connections; new ones are taken."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            # Whoever goes in the middle goes; that is what a proxy is for here.
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._pass_on(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.away:
            return writer.transport.abort()
        head = await reader.readuntil(b"\r\n\r\n")
        kind = _kind_of(head)
        if kind:
            self.readers.append(kind)
        if kind == "websocket" and self.blocks_websockets:
            return writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        host, _, port = self.target.removeprefix("http://").partition(":")
        try:
            answer, forward = await asyncio.open_connection(host, int(port))
        except OSError:
            return writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self._open.add(forward)
        try:
            forward.write(head if kind == "websocket" else _alone(head))
            await _either(
                _copy(reader, forward), _copy(answer, writer, held=kind == "sse" and self.holds_events)
            )
        finally:
            self._open.discard(forward)
            forward.close()


@asynccontextmanager
async def proxy_to(target: str, **behaviour: bool) -> AsyncIterator[Proxy]:
    """Run one on a free port; all its connections are broken in the end."""
    proxy = Proxy(target, **behaviour)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=_LONGEST_HEAD)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await server.wait_closed()


def _kind_of(head: bytes) -> str:
    """Tell how a request reads: over which transport, or "" for a plain call."""
    lines = head.decode("latin-1").lower().split("\r\n")
    path = lines[0].split(" ")[1].partition("?")[0]
    if "upgrade: websocket" in lines:
        return "websocket"
    if not path.endswith("/events"):
        return ""
    return "sse" if "accept: text/event-stream" in lines else "longpoll"


def _alone(head: bytes) -> bytes:
    """Ask for the connection to be closed after the answer, so that its end is plain."""
    first, *lines = head[:-4].split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([first, *kept, b"connection: close", b"", b""])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool = False) -> None:
    if held:
        writer.write(await reader.read())
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()


async def _either(request: Coroutine[None, None, None], answer: Coroutine[None, None, None]) -> None:
    """Go on until the answer is over, or who asked has gone."""
    tasks = [asyncio.create_task(request, name="request"), asyncio.create_task(answer, name="answer")]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
