"""The HTTP connection beneath a request, for what ASGI has no words for: hanging up and resetting."""

import asyncio
import socket
import struct
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "simulator.connection"


class Connection(Protocol):
    """The connection that a request came by."""

    def hang_up(self) -> None:
        """Close without a response."""

    def reset(self) -> None:
        """Drop what was not sent yet, and reset."""

    def count_open(self) -> int:
        """Return how many connections the server has open."""


class SimulatorProtocol(HttpToolsProtocol):
    """uvicorn's protocol, reachable from the requests it carries."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {_EXTENSION: self}}

    def hang_up(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    def count_open(self) -> int:
        return len(self.connections)


def connection_of(scope: Any) -> Connection:
    connection: Connection = scope["extensions"][_EXTENSION][_EXTENSION]
    return connection


async def until_disconnected(receive: Any) -> None:
    """Return when the client has left; its request must have been read to the end before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def run_until_disconnected(receive: Any, work: Any) -> bool:
    """Run the coroutine `work`; cancel it if the client leaves before its end, and tell whether it ended."""
    worker = asyncio.create_task(work, name="simulator-work")
    watcher = asyncio.create_task(until_disconnected(receive), name="simulator-watch")
    try:
        await asyncio.wait({worker, watcher}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watcher.cancel()
        worker.cancel()
        await asyncio.wait({worker, watcher})
    if worker.cancelled():
        return False
    worker.result()
    return True
