"""Sees everything that is written into the shared logs, and by whom: some things may never be.

Redis itself tells it, by MONITOR: which connection calls a script, and what the script then does.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.harness.redis import RedisServer

#: The longest line: a whole log that is put back.
_LONGEST = 2**24
_SEEN_S = 20
_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_REMOVED = b'"DEL" "chatserver:epochs:'
_OPENED = b'"SET" "chatserver:epochs:'
_APPENDED = b'"PUBLISH" "chatserver:log:'

#: The epoch, and the number of the piece.
Position = tuple[int, int]


@dataclass
class _Log:
    #: The epochs as they stand in Redis, oldest first, each with the number of the last piece before it.
    epochs: list[Position] = field(default_factory=list)
    #: The number of the last piece in Redis; None where Redis came back with what it had saved.
    top: int | None = 0
    ended: bool = False
    #: Every piece that ever had a place, whatever has become of it.
    pieces: dict[Position, bytes] = field(default_factory=dict)
    #: Who wrote under which epoch.
    writers: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))

    def position_of(self, n: int) -> Position:
        return next(((epoch, n) for epoch, begun in reversed(self.epochs) if n > begun), (0, n))


class Witness:
    def __init__(self, redis: RedisServer, name_of: Callable[[int], str]) -> None:
        self._redis = redis
        #: Tells whose connection comes from a port.
        self._name_of = name_of
        self._logs: dict[str, _Log] = defaultdict(_Log)
        self._asking = ""
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._marks = 0
        self._mark = b""
        self._crimes: list[str] = []
        #: So many had a place in logs that have ended.
        self.pieces = 0

    async def attach(self, *, emptied: bool = False) -> None:
        """Watch from now on; Redis has just started, with nothing or with what it had saved."""
        self._redis_began(emptied=emptied)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._redis.port, limit=_LONGEST)
        writer.write(b"MONITOR\r\n")
        assert await reader.readline() == b"+OK\r\n"
        self._reading = asyncio.create_task(self._read(reader, writer), name="witness")

    def _redis_began(self, *, emptied: bool) -> None:
        for log in self._logs.values():
            log.top = 0 if emptied else None
            log.epochs = [] if emptied else log.epochs

    async def detached(self) -> None:
        """Wait for the end of the connection: Redis has gone."""
        if self._reading is not None:
            await self._reading

    async def leave(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def caught_up(self) -> None:
        """Wait until all has been seen that has happened by now."""
        self._marks += 1
        self._mark = f'"mark {self._marks}"'.encode()
        async with self._redis.client() as redis:
            await redis.echo(f"mark {self._marks}")
        async with asyncio.timeout(_SEEN_S):
            while self._mark:
                self._news.clear()
                await self._news.wait()

    def forget(self) -> list[str]:
        """Keep only what hasn't ended here yet; gives what was seen that must never be."""
        self.pieces += sum(len(log.pieces) for log in self._logs.values() if log.ended)
        # Readers beside an owner may have an end that is only on its way to Redis.
        self._logs = defaultdict(_Log, {name: log for name, log in self._logs.items() if not log.ended})
        crimes, self._crimes = self._crimes, []
        return crimes

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while line := await reader.readline():
                    self._see(line)
        finally:
            writer.transport.abort()

    def _see(self, line: bytes) -> None:
        if b" lua] " not in line[:40]:
            # "+1700000000.123456 [0 127.0.0.1:54321] ..."
            port = line[: line.find(b"]")].rpartition(b":")[2]
            if line.endswith(b'"FLUSHALL"\r\n'):
                self._redis_began(emptied=True)
            self._asking = self._name_of(int(port)) if port.isdigit() else ""
            if self._mark and self._mark in line:
                self._mark = b""
                self._news.set()
        elif _REMOVED in line:
            _, key, *_ = _arguments(line)
            log = self._logs[key.rpartition(":")[2]]
            log.epochs, log.top = [], 0
        elif _OPENED in line:
            _, key, table, *_ = _arguments(line)
            self._opened(key.rpartition(":")[2], [_position(text) for text in table.split(" ")])
        elif _APPENDED in line:
            _, channel, text = _arguments(line)
            first, *pieces = text.split("\n")
            if pieces:
                self._appended(channel.rpartition(":")[2], _position(first), pieces)

    def _opened(self, generation: str, epochs: list[Position]) -> None:
        log = self._logs[generation]
        epoch, n = epochs[-1]
        self._wrote(generation, log, epoch)
        if log.top not in {None, n} and log.epochs:
            self._accuse(generation, f"epoch {epoch} begins after {n} where {log.top} pieces are")
        # What Redis came back with is known as soon as it is taken; begun anew there is nothing.
        log.epochs, log.top = epochs, n if log.epochs else 0

    def _appended(self, generation: str, first: Position, pieces: list[str]) -> None:
        log = self._logs[generation]
        epoch, n = first
        self._wrote(generation, log, epoch)
        if not log.epochs or log.epochs[-1][0] != epoch:
            self._accuse(generation, f"{first} is appended under {log.epochs}")
        if log.top is not None and n != log.top + 1:
            self._accuse(generation, f"{first} is appended after piece {log.top}")
        for number, piece in enumerate(pieces, n):
            known = log.pieces.setdefault(log.position_of(number), piece.encode())
            if known != piece.encode():
                self._accuse(generation, f"two pieces at {log.position_of(number)}: {known!r}, {piece!r}")
        log.top = n + len(pieces) - 1
        log.ended = pieces[-1].startswith('["end"')

    def _wrote(self, generation: str, log: _Log, epoch: int) -> None:
        if log.writers and epoch < max(log.writers):
            self._accuse(generation, f"{self._asking} writes under {epoch} after {max(log.writers)}")
        log.writers[epoch].add(self._asking)
        if len(log.writers[epoch]) > 1:
            self._accuse(generation, f"{log.writers[epoch]} write under {epoch}")

    def _accuse(self, generation: str, what: str) -> None:
        self._crimes.append(f"{generation}: {what}")


@asynccontextmanager
async def witness_of(redis: RedisServer, name_of: Callable[[int], str]) -> AsyncIterator[Witness]:
    witness = Witness(redis, name_of)
    await witness.attach(emptied=True)
    try:
        yield witness
    finally:
        await witness.leave()


def _arguments(line: bytes) -> list[str]:
    return [found.decode("unicode_escape") for found in _ARGUMENT.findall(line)]


def _position(text: str) -> Position:
    epoch, n = text.split(".")
    return int(epoch), int(n)
