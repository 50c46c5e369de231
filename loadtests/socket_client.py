"""The client of many WebSockets: opens them, lets most be idle, and has some stream an answer each.

A process of its own, so that its work isn't the server's. Reads a job from standard input, says when all are
open, waits for a word to ask for the answers, and says what became of them.
"""

import asyncio
import gc
import json
import sys
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import uvloop

from loadtests.recording import Read, socket_tokens_of

#: Sockets on their way at a time: more would wait in the server's backlog.
_AT_ONCE = 100
#: Seconds for a handshake on a busy machine.
_HANDSHAKE_S = 30
#: From this length on a frame tells its length in two more bytes.
_LONG = 126
_END = b'"type":"end"'
#: A server's ping has four bytes. JSON never holds a byte 4, so no text is taken for one.
_PING, _PING_LENGTH = b"\x89\x04", 6
_READY = b'"type":"ready"'


@dataclass(frozen=True)
class SocketJob:
    host: str
    port: int
    #: Addresses that connections come from, in turns: each has its own range of ports.
    sources: Sequence[str]
    #: Sockets in all.
    sockets: int
    #: Messages to be sent, one by each of the first sockets.
    messages: Sequence[str]
    #: Seconds over which they are sent.
    spread_s: float
    #: Seconds for the answers to end.
    deadline_s: float


class Socket(asyncio.Protocol):
    """One WebSocket, which reads nothing but pings until it is to record what comes."""

    __slots__ = ("_transport", "over", "reads", "ready")

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self.reads: list[Read] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        at = data.find(_PING)
        if at >= 0:
            self.write(b"\x8a\x84\0\0\0\0" + data[at + 2 : at + _PING_LENGTH])
        if self.ready.done() and len(data) == _PING_LENGTH and at == 0:
            return
        self.reads.append((time.time_ns(), data))
        if not self.ready.done() and _READY in data:
            self.ready.set_result(None)
        elif _END in data and not self.over.done():
            self.over.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        for awaited in (self.ready, self.over):
            if not awaited.done():
                awaited.cancel()

    @property
    def open(self) -> bool:
        return self._transport is not None


def text_frame(text: str) -> bytes:
    """Write a message as a client does, masked with zeros."""
    payload = text.encode()
    length = len(payload)
    head = bytes([0x81, 0x80 | length]) if length < _LONG else b"\x81\xfe" + length.to_bytes(2)
    return head + b"\0\0\0\0" + payload


async def open_all(job: SocketJob) -> list[Socket | BaseException]:
    asked = handshake(job.host, job.port)
    turns = asyncio.Semaphore(_AT_ONCE)
    loop = asyncio.get_running_loop()

    async def open_one(number: int) -> Socket:
        source = (job.sources[number % len(job.sources)], 0)
        async with turns, asyncio.timeout(_HANDSHAKE_S):
            _, socket = await loop.create_connection(Socket, job.host, job.port, local_addr=source)
            socket.write(asked)
            await socket.ready
        return socket

    return await asyncio.gather(*map(open_one, range(job.sockets)), return_exceptions=True)


def handshake(host: str, port: int) -> bytes:
    lines = (
        "GET /api/v1/ws HTTP/1.1",
        f"Host: {host}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {b64encode(bytes(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: chatserver.v1",
    )
    return "\r\n".join([*lines, "", ""]).encode()


async def _serve_job(job: SocketJob) -> None:
    found = await open_all(job)
    sockets = [one for one in found if isinstance(one, Socket)]
    failures = [repr(one) for one in found if isinstance(one, BaseException)]
    _say({"open": len(sockets), "why": failures[0] if failures else ""})
    await _word()
    began, cpu = time.monotonic(), time.process_time()
    streaming = sockets[: len(job.messages)]
    for socket, message in zip(streaming, job.messages, strict=False):
        socket.write(text_frame(message))
        await asyncio.sleep(job.spread_s / len(streaming))
    await asyncio.wait([socket.over for socket in streaming], timeout=job.deadline_s)
    used = {"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}
    _say({**used, **outcome(sockets, streaming)})


async def _word() -> None:
    # In a thread: pings are answered meanwhile.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def outcome(sockets: Sequence[Socket], streaming: Sequence[Socket]) -> dict[str, Any]:
    whole = [socket for socket in streaming if socket.over.done() and not socket.over.cancelled()]
    tokens = [token for socket in whole for token in socket_tokens_of(socket.reads)]
    return {
        "asked": len(streaming),
        "complete": len(whole),
        "open": sum(socket.open for socket in sockets),
        "delays_us": [round(token.arrived - token.sent) for token in tokens],
    }


def _say(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    # A collection would be seen as a delay of the server.
    gc.disable()
    uvloop.run(_serve_job(SocketJob(**json.loads(sys.stdin.readline()))))
