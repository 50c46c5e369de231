"""What the parent of several workers and each of them tell each other, over a socket that only they have."""

import asyncio
import pickle
import socket
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from chatserver.settings import Settings
from chatserver.telemetry.summing import Figures

_LENGTH_BYTES = 4
#: Bytes of one message: the figures of a server with many routes are a few hundred thousand.
_LONGEST = 2**26


@dataclass(frozen=True)
class Start:
    """To a worker: what it is."""

    worker: int
    settings: Settings
    demo: bool


@dataclass(frozen=True)
class Ready:
    """From a worker: it serves."""


@dataclass(frozen=True)
class Ask:
    """From a worker: somebody wants the figures of all."""


@dataclass(frozen=True)
class Tell:
    """To a worker: its own figures are wanted."""


@dataclass(frozen=True)
class Told:
    """From a worker: its own figures."""

    figures: Figures


@dataclass(frozen=True)
class All:
    """To a worker: the figures of all, as Prometheus reads them."""

    text: bytes


Message: TypeAlias = Start | Ready | Ask | Tell | Told | All


class Channel:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, connected: socket.socket) -> Self:
        return cls(*await asyncio.open_connection(sock=connected))

    def send(self, message: Message) -> None:
        """Say something; to one that has gone it is said in vain."""
        data = pickle.dumps(message)
        self._writer.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)

    async def receive(self) -> Any:
        """Give the next message; None when the other one has gone."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            if length > _LONGEST:
                return None
            data = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            return None
        return pickle.loads(data)  # noqa: S301 - only parent and worker have this socket

    def close(self) -> None:
        self._writer.close()
