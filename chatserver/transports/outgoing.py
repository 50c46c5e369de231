"""What one WebSocket sends: answers first, in order, then whatever is new in the logs it follows."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson

from chatserver.errors import ChatserverError, TooMany
from chatserver.transports.bell import Bell
from chatserver.transports.outlet import Outlet
from chatserver.transports.sources import Opener, Source
from chatserver.wire.frames import frame_message

SendText = Callable[[str], Awaitable[None]]

#: Answers that may wait to be sent; what is followed waits in its logs and takes no room.
_ANSWERS = 1_000


class Flooded(TooMany):
    """More was asked than the client reads answers to."""

    code = "flood"


class Outgoing:
    """One writer for many sources. No queue per source: each is read when the socket takes more."""

    def __init__(self, most_sources: int, outlet: Outlet | None = None) -> None:
        self._bell = Bell()
        self._loop = asyncio.get_running_loop()
        self._outlet = outlet
        #: News will be looked at in this turn of the loop, without the writer.
        self._looking = False
        self._answers: deque[str] = deque()
        self._most_sources = most_sources
        self._sources: dict[str, Source] = {}
        #: Sources that may have something new, in the order in which they said so.
        self._news: dict[str, None] = {}
        self.closing = False
        #: Says when the writer may end although nobody told it to finish.
        self._may_end: Callable[[], bool] = lambda: False

    def __len__(self) -> int:
        return len(self._sources)

    def answer(self, frame: dict[str, Any]) -> None:
        if len(self._answers) >= _ANSWERS:
            raise Flooded(retry_after=1)
        self._answers.append(orjson.dumps(frame).decode())
        self._bell.ring()

    def follow(self, name: str, opener: Opener) -> Source:
        """Follow a source, in place of one that had the same name.

        What is answered in the same step is sent before its first frame.
        """
        self.leave(name)
        self.check_room()
        source = opener(partial(self._ring, name))
        source.__enter__()
        self._sources[name] = source
        self._ring(name)
        return source

    def check_room(self) -> None:
        """Too many when nothing more may be followed."""
        if len(self._sources) >= self._most_sources:
            raise TooMany(
                f"A connection may follow {self._most_sources} things at once.",
                retry_after=1,
                limit=self._most_sources,
                setting="subscriptions_per_connection",
            )

    def leave(self, name: str) -> None:
        source = self._sources.pop(name, None)
        self._news.pop(name, None)
        if source is not None:
            source.__exit__(None, None, None)

    def finish(self) -> None:
        """Let the writer end once the answers are sent."""
        self.closing = True
        self._bell.ring()

    def finish_when(self, may_end: Callable[[], bool]) -> None:
        """Let the writer end once there is nothing to send and `may_end` agrees; `wake` asks it again."""
        self._may_end = may_end
        self.wake()

    def wake(self) -> None:
        self._bell.ring()

    @property
    def expects_more(self) -> bool:
        return any(source.expects_more for source in self._sources.values())

    def close(self) -> None:
        for name in list(self._sources):
            self.leave(name)

    async def write(self, send: SendText) -> None:
        """Send what there is, until told to finish; the socket sets the pace."""
        while True:
            if self._answers:
                await send(self._answers.popleft())
            elif self.closing:
                return
            elif self._news:
                await self._write_news(next(iter(self._news)), send)
            elif self._may_end():
                return
            else:
                await self._bell.wait()

    async def _write_news(self, name: str, send: SendText) -> None:
        del self._news[name]
        source = self._sources[name]
        try:
            frames = await source.read()
        except ChatserverError:
            # What was followed isn't there any more.
            self._let_go(name, source)
            return
        for frame in frames:
            await send(frame.text)
        if source.ended:
            self._let_go(name, source)

    def _let_go(self, name: str, source: Source) -> None:
        # Another one may have taken its name meanwhile.
        if self._sources.get(name) is source:
            self.leave(name)

    def _ring(self, name: str) -> None:
        """Take note of news; called in the middle of an append."""
        if name not in self._sources:
            # It was left in the middle of a read that found more to read.
            return
        self._news[name] = None
        if self._outlet is None:
            self._bell.ring()
        elif not self._looking:
            self._looking = True
            self._loop.call_soon(self._look, self._outlet)

    def _look(self, outlet: Outlet) -> None:
        """Write what can be written at once; the rest is the writer's business, as is all it waits for."""
        self._looking = False
        if self._bell.has_waiter:
            for name in list(self._news):
                if not outlet.free:
                    break
                source = self._sources[name]
                if messages := source.glance(frame_message):
                    outlet.write(messages)
                    if source.expects_more:
                        del self._news[name]
        if self._news:
            self._bell.ring()
