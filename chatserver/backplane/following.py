"""The readers' side: logs that other instances fill, kept up to date here as long as somebody reads them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import NoReturn

from chatserver.backplane.port import Backplane
from chatserver.errors import BackplaneUnavailable, StoreUnavailable
from chatserver.generation.feed import Feed
from chatserver.generation.log import StoredLog
from chatserver.generation.merge import Hint, Replica
from chatserver.generation.position import Position

#: Logs whose tops are compared in one step, and histories that are read at once.
_TOPS_A_STEP = 500
_READS_AT_ONCE = 16
#: Seconds before what could not be read is tried again.
_TRY_AGAIN_S = 0.2
#: Seconds a reader waits for news of an epoch that only it knows of.
_PATIENCE_S = 2.0

#: Gives those of the generations that have ended, as the store keeps them.
Stored = Callable[[Sequence[str]], Awaitable[Mapping[str, StoredLog]]]


class _Follower:
    """One log, and what is heard of it."""

    def __init__(self, feed: Feed, on_behind: Callable[["_Follower"], None]) -> None:
        self.feed = feed
        self.replica = Replica(feed)
        self.hearing = ExitStack()
        #: Nobody read it when that was last looked at.
        self.idle = False
        self.current = asyncio.Event()
        self._on_behind = on_behind
        #: How far the shared log reached when that was last looked at.
        self._top: Position | None = None

    def hear(self, hint: Hint | None) -> None:
        if hint is None:
            self.replica.behind = True
        else:
            self.replica.hint(hint)
        self.look()

    def check(self, top: Position) -> None:
        self.replica.check(top)
        self.look()

    def moved(self, top: Position | None) -> bool:
        """Say whether the shared log is there, and has grown since this was asked last."""
        before, self._top = self._top, top
        return top is not None and top != before

    def look(self) -> None:
        if self.replica.behind and not self.feed.log.ended:
            self.current.clear()
            self._on_behind(self)
        else:
            self.current.set()


class Following:
    def __init__(self, backplane: Backplane, stored: Stored, round_s: float) -> None:
        self._backplane = backplane
        self._stored = stored
        self._round_s = round_s
        self._followers: dict[str, _Follower] = {}
        self._behind: set[_Follower] = set()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._followers)

    def feed(self, generation: str) -> Feed:
        """Give a log that another instance fills."""
        follower = self._followers.get(generation) or self.adopt(Feed(generation))
        follower.idle = False
        return follower.feed

    def followed(self, generation: str) -> Feed | None:
        follower = self._followers.get(generation)
        return follower.feed if follower else None

    def adopt(self, feed: Feed) -> _Follower:
        """Follow a log that this process filled until another owner came."""
        self.forget(feed)
        follower = self._followers[feed.generation] = _Follower(feed, self._catch_up_later)
        follower.hearing.enter_context(self._backplane.follow(feed.generation, follower.hear))
        follower.look()
        return follower

    def forget(self, feed: Feed) -> None:
        """Follow it no longer: it is filled here from now on."""
        if feed.generation in self._followers:
            self._drop(feed.generation)

    async def meet(self, feed: Feed, position: Position) -> None:
        """Make sure that a reader isn't told to forget what only this instance hasn't heard of yet."""
        follower = self._followers.get(feed.generation)
        if follower is None or position.epoch <= feed.log.epoch:
            return
        follower.check(position)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await follower.current.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Catch up and compare, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._catch_up(), name="following: catch up")
            tasks.create_task(self._rounds(), name="following: rounds")

    def close(self) -> None:
        for generation in list(self._followers):
            self._drop(generation)

    def _catch_up_later(self, follower: _Follower) -> None:
        self._behind.add(follower)
        self._news.set()

    async def _catch_up(self) -> NoReturn:
        while True:
            await self._news.wait()
            self._news.clear()
            behind = list(self._behind)[:_READS_AT_ONCE]
            self._behind.difference_update(behind)
            if self._behind:
                self._news.set()
            try:
                await asyncio.gather(*(self._read(follower) for follower in behind))
            except BackplaneUnavailable:
                self._behind.update(behind)
                await asyncio.sleep(_TRY_AGAIN_S)
                self._news.set()

    async def _read(self, follower: _Follower) -> None:
        history = await self._backplane.history(follower.feed.generation)
        # Where there is none (yet, or any more) the next hint or the next round comes back to it.
        if history is not None:
            follower.replica.history(history)
            follower.look()

    async def _rounds(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._round_s)
            self._let_go()
            followed = [one for one in self._followers.values() if not one.feed.log.ended]
            for start in range(0, len(followed), _TOPS_A_STEP):
                await self._compare(followed[start : start + _TOPS_A_STEP])

    async def _compare(self, followers: Sequence[_Follower]) -> None:
        """A lost last hint shows no gap, so the tops are compared.

        Where there is none, or nothing has come for a whole round, the store may know the end: whoever
        commits one and dies then has no time left to share it.
        """
        quiet = followers
        try:
            tops = await self._backplane.tops([follower.feed.generation for follower in followers])
        except BackplaneUnavailable:
            pass
        else:
            found = list(zip(followers, tops, strict=True))
            for follower, top in found:
                if top is not None:
                    follower.check(top)
            quiet = [follower for follower, top in found if not follower.moved(top)]
        if quiet:
            await self._ask_store(quiet)

    async def _ask_store(self, followers: Iterable[_Follower]) -> None:
        by_name = {follower.feed.generation: follower for follower in followers}
        try:
            stored = await self._stored(list(by_name))
        except StoreUnavailable:
            return
        for generation, log in stored.items():
            by_name[generation].feed.end_as(log)
            by_name[generation].look()

    def _let_go(self) -> None:
        """Forget what nobody has read for a whole round."""
        for generation, follower in list(self._followers.items()):
            if follower.feed.readers:
                follower.idle = False
            elif follower.idle:
                self._drop(generation)
            else:
                follower.idle = True

    def _drop(self, generation: str) -> None:
        follower = self._followers.pop(generation)
        self._behind.discard(follower)
        follower.hearing.close()
