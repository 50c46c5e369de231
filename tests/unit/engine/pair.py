"""Two instances in one process: one store, one model server, and what they share between them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self
from unittest.mock import patch

from chatserver.app import parts as composition
from chatserver.backplane.memory import Hub, MemoryBackplane
from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Delta, Ending, Piece, Reset, Started
from chatserver.generation.position import START
from chatserver.storage.instances import Adopt
from chatserver.storage.probes import KeepProbe
from chatserver.upstream.simulator import SimulatorOptions
from tests.unit.asgi import PATIENCE
from tests.unit.works import MODEL, Works, working


@dataclass(frozen=True)
class Pair:
    hub: Hub
    first: Works
    second: Works

    def shared(self, generation: str) -> list[Piece]:
        return list(self.hub.logs[generation].pieces)

    async def know(self, model: str = MODEL, *, continues: bool) -> None:
        """Let it be known whether a model goes on with a beginning."""
        version = self.first.parts.fleet.digest(model)
        await self.first.parts.store.writer.submit(KeepProbe(version, continues, 2**45))

    async def first_dies(self) -> None:
        """Have the first one work no more, in the middle of whatever it does."""
        await die(self.first)

    async def second_takes(self, generation: str) -> None:
        record = await self.second.record(generation)
        adopt = Adopt(generation, record.epoch, self.second.engine.owner)
        adopted = await self.second.parts.store.writer.submit(adopt)
        assert adopted is not None
        self.second.engine.pick_up(adopted)

    async def begun(self, generation: str, pieces: int = 8) -> None:
        """Wait until so much of an answer is shared."""
        async with asyncio.timeout(PATIENCE):
            # What is shared tells nobody but the instances.
            while generation not in self.hub.logs or len(self.shared(generation)) < pieces:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


async def die(works: Works) -> None:
    tasks = list(works.engine._tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Reader:
    """Reads a feed as a transport does, and remembers what a page would show."""

    def __init__(self, feed: Feed) -> None:
        self._news = asyncio.Event()
        self._cursor = Cursor(feed, START, self._news.set)
        self.text = ""
        self.resets = 0
        self.started: list[Started] = []
        self.ending: Ending | None = None

    def __enter__(self) -> Self:
        self._cursor.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.__exit__()

    async def until(self, seen: Callable[[Self], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not seen(self):
                self._news.clear()
                while batch := self._cursor.read():
                    for _, piece in batch.entries:
                        self._take(piece)
                if not seen(self):
                    await self._news.wait()

    async def until_end(self) -> Ending:
        await self.until(lambda reader: reader.ending is not None)
        assert self.ending is not None
        return self.ending

    def _take(self, piece: Piece) -> None:
        match piece:
            case Started():
                self.started.append(piece)
            case Delta():
                self.text += piece.text
            case Reset():
                self.text, self.resets, self.started = "", self.resets + 1, []
            case Ending():
                self.ending = piece


@asynccontextmanager
async def pair(folder: Path, simulated: SimulatorOptions, **settings: object) -> AsyncIterator[Pair]:
    hub = Hub()
    both = {"ollama__slots": 4, **settings}
    (folder / "second").mkdir(mode=0o700)
    (folder / "second" / "chatserver.db").symlink_to(folder / "first" / "chatserver.db")
    with patch.object(composition, "MemoryBackplane", partial(MemoryBackplane, hub)):
        async with (
            working(folder / "first", simulated, **both) as first,
            working(folder / "second", urls=(first.url,), **both) as second,
        ):
            tasks = [asyncio.create_task(each.parts.peers.run()) for each in (first, second)]
            try:
                yield Pair(hub, first, second)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await die(first)
                await die(second)
