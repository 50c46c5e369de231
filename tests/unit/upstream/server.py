"""A model server that says exactly what a test wants, byte for byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Pause:
    """Stands in a script where the server says nothing more until the client has gone."""


@dataclass(frozen=True)
class Again:
    """Stands in a script where the server says the same every 10 ms until the client has gone."""

    said: bytes


class Wait:
    """Stands in a script where the server waits until a test lets it go on."""

    def __init__(self) -> None:
        self.go = asyncio.Event()


Step = bytes | Pause | Again | Wait


@dataclass
class Scripted:
    url: str = ""
    #: The heads and bodies that came.
    requests: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    #: Clients that went away during a pause.
    gone: asyncio.Event = field(default_factory=asyncio.Event)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def line(value: object) -> bytes:
    return chunk(orjson.dumps(value) + b"\n")


def says(text: str) -> bytes:
    return line({"message": {"role": "assistant", "content": text}, "done": False})


DONE = line({"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 1})


def plain(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


@asynccontextmanager
async def scripted(*script: Step, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Play the script to each connection, and close it at the end."""
    here = Scripted()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            here.requests.append(await _request(reader))
            here.asked.set()
            for step in script:
                if isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                elif isinstance(step, Wait):
                    await step.go.wait()
                elif isinstance(step, Again):
                    while True:
                        writer.write(step.said)
                        await writer.drain()
                        await asyncio.sleep(0.01)
                else:
                    await reader.read()
                    here.gone.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            here.gone.set()
        finally:
            writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=tls)
    async with server:
        here.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield here


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    return head + await reader.readexactly(int(fields.get(b"content-length", 0)))
