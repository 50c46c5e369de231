"""A WebSocket of a client: says things, asks and gets the answer to just that, and may be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.harness.client import CALL_S
from tests.harness.received import Frame

SUBPROTOCOL = "chatserver.v1"


class Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        #: What came while an answer was awaited, oldest first.
        self.earlier: list[Frame] = []

    async def receive(self) -> Frame:
        """Give the next frame, those first that came while an answer was awaited."""
        return self.earlier.pop(0) if self.earlier else await self._next()

    async def say(self, kind: str, **fields: Any) -> None:
        await self.connection.send(orjson.dumps({"type": kind, **fields}).decode())

    async def ask(self, kind: str, **fields: Any) -> Frame:
        """Say something and give its answer; frames that come before are kept."""
        ref = fields.setdefault("ref", str(uuid4()))
        await self.say(kind, **fields)
        while True:
            frame = await self._next()
            if frame.get("ref") == ref and frame["type"] in {"ok", "accepted", "error", "pong"}:
                return frame
            self.earlier.append(frame)

    async def cut(self) -> None:
        """End it as a network does: without a word."""
        self.connection.transport.abort()
        await self.connection.wait_closed()

    async def _next(self) -> Frame:
        async with asyncio.timeout(CALL_S):
            frame: Frame = orjson.loads(await self.connection.recv())
        return frame


@asynccontextmanager
async def socket(
    url: str, *, ticket: str | None = None, origin: str | None = None, cookies: str = ""
) -> AsyncIterator[Socket]:
    """Open a WebSocket at the server with this address; it is cut in the end."""
    connection = await connect(
        f"{url.replace('http', 'ws', 1)}/api/v1/ws{f'?ticket={ticket}' if ticket else ''}",
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        origin=None if origin is None else Origin(origin),
        additional_headers={"Cookie": cookies} if cookies else None,
        compression=None,
        ping_interval=None,
        open_timeout=CALL_S,
        proxy=None,
    )
    opened = Socket(connection)
    try:
        yield opened
    finally:
        await opened.cut()
