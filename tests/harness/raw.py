"""A connection as bytes, for what no well-behaved client says."""

import asyncio
import socket as sockets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import Event
from websockets.uri import parse_uri

from tests.harness.client import CALL_S


@dataclass
class Raw:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one response whose length is told: status, headers, body."""
        async with asyncio.timeout(CALL_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().splitlines()
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, body

    async def problem(self) -> dict[str, Any]:
        """Read a problem document."""
        status, headers, body = await self.answer()
        assert headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = orjson.loads(body)
        assert problem["status"] == status
        return problem

    async def rest(self) -> bytes:
        """Read until the server closes, or cuts the connection."""
        said = b""
        with suppress(ConnectionResetError):
            async with asyncio.timeout(CALL_S):
                while chunk := await self.reader.read(65536):
                    said += chunk
        return said


@asynccontextmanager
async def raw(url: str, prepare: Callable[[sockets.socket], None] = lambda _: None) -> AsyncIterator[Raw]:
    """Open a connection, its socket prepared before it connects; it is cut in the end."""
    host, port = url.removeprefix("http://").split(":")
    plain = sockets.socket()
    plain.setblocking(False)
    prepare(plain)
    await asyncio.get_running_loop().sock_connect(plain, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=plain)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def request(method: str, path: str, *headers: str, body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    """Write a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", *headers]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class RawSocket:
    """A WebSocket whose frames a test writes itself, allowed or not."""

    def __init__(self, connection: Raw, url: str, cookies: str) -> None:
        self.raw = connection
        self._cookies = cookies
        self._protocol = ClientProtocol(parse_uri(f"{url.replace('http', 'ws', 1)}/api/v1/ws"))
        self._pending: Iterator[Event] = iter(())

    async def open(self) -> None:
        handshake = self._protocol.connect()
        if self._cookies:
            handshake.headers["Cookie"] = self._cookies
        self._protocol.send_request(handshake)
        self.raw.say(b"".join(self._protocol.data_to_send()))
        assert (await self.frame())["type"] == "ready"

    def say(
        self, opcode: int, data: bytes = b"", *, fin: bool = True, rsv1: bool = False, masked: bool = True
    ) -> None:
        """Send a frame, right or wrong; a mask of zeros changes nothing."""
        head = bytes([fin << 7 | rsv1 << 6 | opcode])
        if len(data) < 126:
            head += bytes([masked << 7 | len(data)])
        elif len(data) < 2**16:
            head += bytes([masked << 7 | 126]) + len(data).to_bytes(2)
        else:
            head += bytes([masked << 7 | 127]) + len(data).to_bytes(8)
        self.raw.say(head + bytes(4) * masked + data)

    def text(self, message: str) -> None:
        self.say(Opcode.TEXT, message.encode())

    async def frame(self) -> dict[str, Any]:
        """Give the next message of the server, past its pings; EOFError where it closes."""
        while True:
            event = await self._next()
            if event is None or event.opcode is Opcode.CLOSE:
                raise EOFError
            if event.opcode is Opcode.TEXT:
                message: dict[str, Any] = orjson.loads(event.data)
                return message

    async def close_code(self) -> int | None:
        """Read to the end: the code of the server's close, None where it cut the connection."""
        code = None
        while (event := await self._next()) is not None:
            if event.opcode is Opcode.CLOSE:
                code = int.from_bytes(event.data[:2])
                self.say(Opcode.CLOSE, bytes(event.data))
                # The server may have cut the connection meanwhile.
                with suppress(OSError):
                    self.raw.writer.write_eof()
        return code

    async def _next(self) -> Frame | None:
        async with asyncio.timeout(CALL_S):
            while True:
                for event in self._pending:
                    if isinstance(event, Frame):
                        return event
                chunk = b""
                with suppress(ConnectionResetError):
                    chunk = await self.raw.reader.read(65536)
                if not chunk:
                    return None
                self._protocol.receive_data(chunk)
                self._pending = iter(self._protocol.events_received())


@asynccontextmanager
async def raw_socket(
    url: str, prepare: Callable[[sockets.socket], None] = lambda _: None, *, cookies: str = ""
) -> AsyncIterator[RawSocket]:
    """Open a WebSocket and wait until it is ready."""
    async with raw(url, prepare) as connection:
        opened = RawSocket(connection, url, cookies)
        await opened.open()
        yield opened
