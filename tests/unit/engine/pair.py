"""Two instances in one process: one store, one model server, and what they share between them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx

from chatserver.app import assembling as composition
from chatserver.backplane.memory import Hub, MemoryBackplane
from chatserver.engine.recovery import take_in
from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel, Delta, Ending, Piece, Reset, Started
from chatserver.generation.position import START
from chatserver.storage.instances import Adopt, Leave
from chatserver.storage.probes import KeepProbe
from chatserver.upstream.simulator import SimulatorOptions
from tests.unit.asgi import PATIENCE
from tests.unit.works import MODEL, Works, working


@dataclass(frozen=True)
class Pair:
    hub: Hub
    first: Works
    second: Works

    async def shared(self, generation: str) -> list[Piece]:
        """Give what the others have of a log; its owner's readers are shown the end a step earlier."""
        for works in (self.first, self.second):
            await works.parts.peers.settle()
        return list(self.hub.logs[generation].pieces)

    async def read_at(self, works: Works, generation: str) -> Feed:
        """Give a log as an instance gets it that doesn't own it."""
        return works.parts.peers.feed(await works.record(generation))

    async def know(self, model: str = MODEL, *, continues: bool) -> None:
        """Let it be known whether a model goes on with a beginning, and how its tokens are counted."""
        parts = self.first.parts
        async with asyncio.timeout(PATIENCE):
            while not (await self.second.parts.prompts.measures.of(model)).exact:
                pass
        probe = KeepProbe(parts.fleet.digest(model), continues, parts.clock.wall_ms())
        await parts.store.writer.submit(probe)

    async def spoil(self, *faults: str) -> None:
        """Have this happen to every answer of the model server from now on."""
        async with httpx.AsyncClient(base_url=self.first.url, trust_env=False, verify=False) as http:
            (await http.put("/_sim/faults", json=faults)).raise_for_status()

    async def dies(self, works: Works) -> None:
        """Have it work no more, in the middle of whatever it does."""
        await self.stops(works)
        await works.parts.store.writer.submit(Leave(works.engine.owner))

    async def stops(self, works: Works) -> None:
        # Else its own readers may have seen more than the others, and are told to forget that.
        await works.parts.peers.settle()
        tasks = list(works.engine._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def takes(self, works: Works, generation: str) -> None:
        """Have it take in what is nobody's."""
        record = await works.record(generation)
        adopt = Adopt(generation, record.epoch, works.engine.owner)
        adopted = await works.parts.store.writer.submit(adopt)
        assert adopted is not None
        take_in(adopted, works.engine, works.parts.settings.generation.attempts)


class Reader:
    """Reads a log as a page does, and remembers what it would show."""

    def __init__(self, feed: Feed) -> None:
        self._news = asyncio.Event()
        self._cursor = Cursor(feed, START, self._news.set)
        self.text = ""
        self.thoughts = ""
        self.resets = 0
        self.started: list[Started] = []
        self.ending: Ending | None = None

    def __enter__(self) -> Self:
        self._cursor.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.__exit__()

    def follow(self, feed: Feed) -> None:
        """Go on elsewhere."""
        self._cursor.__exit__()
        self._cursor = Cursor(feed, self._cursor.position, self._news.set)
        self._cursor.__enter__()

    async def until(self, seen: Callable[[Self], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not seen(self):
                self._news.clear()
                while batch := self._cursor.read():
                    for _, piece in batch.entries:
                        self._take(piece)
                if not seen(self):
                    await self._news.wait()

    async def until_more(self) -> None:
        before = len(self.text)
        await self.until(lambda reader: len(reader.text) > before)

    async def until_end(self) -> Ending:
        await self.until(lambda reader: reader.ending is not None)
        assert self.ending is not None
        return self.ending

    def _take(self, piece: Piece) -> None:
        match piece:
            case Started():
                self.started.append(piece)
            case Delta(Channel.ANSWER, text):
                self.text += text
            case Delta(_, text):
                self.thoughts += text
            case Reset():
                self.text, self.thoughts, self.started = "", "", []
                self.resets += 1
            case Ending():
                self.ending = piece


#: A way to a model server, for the second instance alone.
Way = Callable[[str], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def straight(url: str) -> AsyncIterator[str]:
    yield url


@asynccontextmanager
async def refusing_beginnings(url: str) -> AsyncIterator[str]:
    """Refuse what ends with a message of the model, as some templates do."""
    target = urlsplit(url)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1]) if length else 0)
        if b'"assistant"' in body:
            writer.write(b'HTTP/1.1 400 Bad Request\r\ncontent-length: 14\r\n\r\n{"error":"no"}')
        else:
            theirs, ours = await asyncio.open_connection(target.hostname, target.port)
            ours.write(head[:-2] + b"connection: close\r\n\r\n" + body)
            while chunk := await theirs.read(65536):
                writer.write(chunk)
            ours.close()
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def pair(
    folder: Path, simulated: SimulatorOptions | None = None, *, way: Way = straight, **settings: object
) -> AsyncIterator[Pair]:
    hub = Hub()
    (folder / "second").mkdir(mode=0o700)
    (folder / "second" / "chatserver.db").symlink_to(folder / "first" / "chatserver.db")
    # Both write to one file.
    together = partial(working, lock_wait_s=PATIENCE, **settings)
    with patch.object(composition, "MemoryBackplane", partial(MemoryBackplane, hub)):
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(together(folder / "first", simulated))
            url = await stack.enter_async_context(way(first.url))
            second = await stack.enter_async_context(together(folder / "second", urls=(url,)))
            both = Pair(hub, first, second)
            sharing = [asyncio.create_task(each.parts.peers.run()) for each in (first, second)]
            try:
                yield both
            finally:
                await both.stops(first)
                await both.stops(second)
                # Last: what an instance leaves to the others takes a deadline's time where nobody shares it.
                for task in sharing:
                    task.cancel()
                await asyncio.gather(*sharing, return_exceptions=True)
