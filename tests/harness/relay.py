"""A network between two programs: passes on what they say, or delays, holds, drops and cuts it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 64 * 1024


@dataclass
class Relay:
    target_port: int
    #: Called with the port from which the target is reached, for each new connection.
    on_connected: Callable[[int], None]
    port: int = 0
    #: Seconds by which whatever passes is late.
    delay_s: float = 0
    #: Nobody gets through: new connections are broken at once.
    closed: bool = False
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._passing.set()

    def cut(self) -> None:
        """Break all connections, with whatever is under way."""
        for writer in self._open:
            writer.transport.abort()

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Break all connections and take no new ones for a while."""
        self.closed = True
        self.cut()
        try:
            yield
        finally:
            self.closed = False

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let nothing pass for a while, without a word to either side; then all of it."""
        self._passing.clear()
        try:
            yield
        finally:
            self._passing.set()

    @contextmanager
    def dropping(self) -> Iterator[None]:
        """The same, but what was said meanwhile is lost, and the connections with it."""
        with self.holding():
            try:
                yield
            finally:
                self.cut()

    @contextmanager
    def late(self, seconds: float) -> Iterator[None]:
        self.delay_s = seconds
        try:
            yield
        finally:
            self.delay_s = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            # Whoever breaks a connection breaks it; that is what this is for.
            with suppress(OSError):
                await self._pass_on(reader, writer)
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.closed:
            return
        answer, forward = await asyncio.open_connection("127.0.0.1", self.target_port)
        self._open.add(forward)
        self.on_connected(forward.get_extra_info("sockname")[1])
        copies = [
            asyncio.create_task(self._copy(reader, forward), name="relay: there"),
            asyncio.create_task(self._copy(answer, writer), name="relay: back"),
        ]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)
            self._open.discard(forward)
            forward.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._passing.wait()
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def relay_to(
    target_port: int, on_connected: Callable[[int], None] = lambda _: None
) -> AsyncIterator[Relay]:
    relay = Relay(target_port, on_connected)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.closed = True
        relay.cut()
        await server.wait_closed()
