"""Shared logs and hints on Redis.

A log is a list of pieces and a string of its epochs. Both live for a time after the last change, so that what
nobody cares for any more goes by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from chatserver.backplane.port import Appending, Heard, Refused, Told
from chatserver.backplane.redis.announcer import Announcer
from chatserver.backplane.redis.link import Link
from chatserver.backplane.redis.subscriptions import Subscriptions
from chatserver.backplane.redis.windows import SharedWindows
from chatserver.errors import BadSharedData, MalformedPosition, StaleEpoch
from chatserver.generation.merge import Appended, Hint, History, Opened
from chatserver.generation.pieces import Ending
from chatserver.generation.position import Position
from chatserver.wire.pieces import decode_piece, encode_piece

_PREFIX = "chatserver"
#: Results of the scripts instead of a length.
_REFUSALS = {-1: Refused.FENCED, -2: Refused.GONE}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds that logs stay after their last change."""

    running: float
    ended: float


class RedisBackplane:
    alone = False

    def __init__(
        self, link: Link, subscriptions: Subscriptions, announcer: Announcer, lives: Lifetimes
    ) -> None:
        self._link = link
        self.windows = SharedWindows(link)
        self._subscriptions = subscriptions
        self._announcer = announcer
        self._running_ms = round(1000 * lives.running)
        self._ended_ms = round(1000 * lives.ended)

    @classmethod
    @asynccontextmanager
    async def open_at(cls, url: str, lives: Lifetimes) -> AsyncIterator["RedisBackplane"]:
        async with Link(url) as link:
            yield cls(link, Subscriptions(url), Announcer(link), lives)

    async def run(self) -> None:
        """Hear and announce, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscriptions.run(), name="backplane: subscriptions")
            tasks.create_task(self._announcer.run(), name="backplane: announcer")

    @property
    def connected(self) -> bool:
        return self._link.connected and self._subscriptions.connected

    async def open(self, generation: str, epochs: Sequence[Position]) -> None:
        table = " ".join(map(str, epochs))
        opened = await self._link.run("open", _keys(generation), (table, epochs[-1].epoch, self._running_ms))
        if opened < 0:
            raise _stale(generation, epochs[-1].epoch)

    async def append(self, batch: Sequence[Appending]) -> Sequence[int | Refused]:
        keys = [key for appending in batch for key in _keys(appending.generation)]
        arguments = [self._addition(appending) for appending in batch]
        lengths = await self._link.run("append", keys, arguments)
        return [_REFUSALS.get(length, length) for length in lengths]

    async def take(self, generation: str, epoch: int) -> History | None:
        arguments = (epoch, self._running_ms, _channel(generation))
        found = await self._link.run("take", _keys(generation), arguments)
        if found == -1:
            raise _stale(generation, epoch)
        history = _history(generation, found)
        if found and history is None:
            # Whoever begins it anew must not take what is there for its own.
            await self._link.delete(_keys(generation))
        return history

    async def history(self, generation: str) -> History | None:
        return _history(generation, await self._link.run("since", _keys(generation)))

    async def tops(self, generations: Sequence[str]) -> Sequence[Position | None]:
        keys = [key for generation in generations for key in _keys(generation)]
        tops = await self._link.run("tops", keys)
        return [Position.parse(top.decode()) if top else None for top in tops]

    @contextmanager
    def follow(self, generation: str, heard: Heard) -> Iterator[None]:
        def hear(data: bytes | None) -> None:
            heard(_hint(generation, data))

        with self._subscriptions.hearing(_channel(generation), hear):
            yield

    def publish(self, topic: str, text: str) -> None:
        self._announcer.publish(f"{_PREFIX}:{topic}", text)

    @contextmanager
    def listen(self, topic: str, told: Told) -> Iterator[None]:
        def hear(data: bytes | None) -> None:
            told(None if data is None else data.decode(errors="replace"))

        with self._subscriptions.hearing(f"{_PREFIX}:{topic}", hear):
            yield

    def _addition(self, appending: Appending) -> bytes:
        """Write all of it as one argument: the client's work is as much for each as for its text."""
        pieces = appending.pieces
        ended = bool(pieces) and isinstance(pieces[-1], Ending)
        facts = (
            appending.epoch,
            appending.first,
            self._ended_ms if ended else self._running_ms,
            _channel(appending.generation).encode(),
            b"\n".join(map(encode_piece, pieces)),
        )
        return b"%d %d %d %b\n%b" % facts


def _keys(generation: str) -> tuple[str, str]:
    return f"{_PREFIX}:epochs:{generation}", f"{_PREFIX}:pieces:{generation}"


def _channel(generation: str) -> str:
    return f"{_PREFIX}:log:{generation}"


def _stale(generation: str, epoch: int) -> StaleEpoch:
    return StaleEpoch(f"An epoch newer than {epoch} of {generation} has begun.")


def _history(generation: str, found: Any) -> History | None:
    """Read what a script gave of a log; one that can't be read is as good as none."""
    if not found:
        return None
    epochs, pieces = found
    try:
        table = tuple(Position.parse(begun) for begun in epochs.decode().split(" "))
        return History(table, tuple(map(decode_piece, pieces)))
    except (UnicodeDecodeError, MalformedPosition, BadSharedData) as error:
        log.warning("bad_shared_log", generation=generation, error=type(error).__name__)
        return None


def _hint(generation: str, data: bytes | None) -> Hint | None:
    """Read an announcement: an epoch's beginning, or a position and the pieces from there on."""
    if data is None:
        return None
    position, *lines = data.split(b"\n")
    try:
        first = Position.parse(position.decode())
        return Appended(first, tuple(map(decode_piece, lines))) if lines else Opened(first.epoch, first.n)
    except (UnicodeDecodeError, MalformedPosition, BadSharedData) as error:
        log.warning("bad_hint", generation=generation, error=type(error).__name__)
        return None
