"""Server-sent events as a browser reads them, without its reconnecting."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from tests.harness.client import Client, read


@dataclass(frozen=True)
class Event:
    name: str
    data: Any
    id: str | None


class EventParser:
    """Cuts bytes into events; what isn't complete yet waits."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        for block in blocks:
            fields = dict(line.decode().split(": ", 1) for line in block.split(b"\n"))
            yield Event(fields["event"], orjson.loads(fields["data"]), fields.get("id"))


@asynccontextmanager
async def stream(client: Client, path: str, **request: Any) -> AsyncIterator[AsyncIterator[Event]]:
    """Open a stream: its events, none where the server says that nothing follows (204)."""
    headers = {"Accept": "text/event-stream", **request.pop("headers", {})}
    method = request.pop("method", "GET")
    async with client.http.stream(method, f"/api/v1{path}", headers=headers, **request) as response:
        if response.status_code not in {httpx.codes.OK, httpx.codes.NO_CONTENT}:
            await response.aread()
            read(response)
        yield _events(response)


async def _events(response: httpx.Response) -> AsyncIterator[Event]:
    if response.status_code == httpx.codes.NO_CONTENT:
        return
    assert response.headers["content-type"].startswith("text/event-stream")
    parser = EventParser()
    async for chunk in response.aiter_raw():
        for event in parser.feed(chunk):
            yield event
