"""The other instances, as the work of this one meets them: what it shares with them, takes up and follows."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

from chatserver.backplane.following import Following
from chatserver.backplane.port import Backplane
from chatserver.backplane.sharing import Sharing
from chatserver.engine.job import Job
from chatserver.engine.stored import stored_log
from chatserver.errors import BackplaneUnavailable
from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.log import StoredLog
from chatserver.generation.merge import Replica
from chatserver.generation.pieces import Ending
from chatserver.generation.position import START, Position
from chatserver.generation.principal import Principal
from chatserver.storage.generations import Generations
from chatserver.storage.instances import Instances
from chatserver.storage.records import Generation

#: Where it is told that a generation is to end, and that an instance has left work to the others.
_CANCEL = "cancel"
_LEFT = "left"
#: Seconds that what piled up may take to reach the others when a log or this process ends.
_LAST_STEP_S = 2.0


#: Seconds that the last pieces of what is stored may take to be shared.
_LAST_PIECES_S = 0.5


class Peers:
    def __init__(
        self,
        backplane: Backplane,
        instances: Instances,
        generations: Generations,
        *,
        tick_s: float,
        round_s: float,
    ) -> None:
        self.backplane = backplane
        self._generations = generations
        #: Whose the logs are that are followed.
        self._principals: WeakKeyDictionary[Feed, Principal] = WeakKeyDictionary()
        self._sharing = Sharing(backplane, tick_s, instances.runs)
        self._following = Following(backplane, self._stored, round_s)

    @property
    def alone(self) -> bool:
        return self.backplane.alone

    @property
    def connected(self) -> bool:
        return self.backplane.connected

    def feed(self, record: Generation) -> Feed:
        """Give the log of work that isn't this instance's."""
        if self.alone:
            return Feed(record.id)
        feed = self._following.feed(record.id)
        self._principals[feed] = record.principal
        return feed

    def followed(self, generation: str) -> tuple[Feed, Principal] | None:
        """Find a log that is followed here already: its thousandth reader asks the store for nothing."""
        feed = self._following.followed(generation)
        principal = None if feed is None else self._principals.get(feed)
        return (feed, principal) if feed is not None and principal is not None else None

    async def seen(self, generation: str) -> Feed | None:
        """Give the log that another instance has shared, as it is now."""
        if self.alone:
            return None
        try:
            history = await self.backplane.history(generation)
        except BackplaneUnavailable:
            return None
        if history is None:
            return None
        feed = Feed(generation)
        Replica(feed).history(history)
        return feed

    async def kept(self, record: Generation) -> Feed | None:
        """Give the log of what another instance ended lately, with the positions that its readers know."""
        feed = await self.seen(record.id)
        if feed is None or feed.log.ended:
            return feed
        # It is stored already and about to be shared, unless its owner has just died.
        feed = self.feed(record)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_PIECES_S):
                await _ended(feed)
        feed.end_as(stored_log(record))
        return feed

    async def meet(self, feed: Feed, position: Position) -> None:
        """Hear of the epoch that a reader comes with, before it is told to forget what it has."""
        await self._following.meet(feed, position)

    async def take_up(self, job: Job) -> None:
        """Go on where the log that was shared ends; from here on no older owner can add to it."""
        if self.alone:
            return
        history = await self.backplane.take(job.generation, job.epoch)
        self._following.forget(job.feed)
        if history is not None:
            Replica(job.feed).history(history)
            job.known = len(history.pieces)

    def share(self, job: Job) -> None:
        """Let the others have the log and all that is added to it."""
        self._sharing.share(job.feed, job.fence, job.known)

    async def share_end(self, job: Job, ending: Ending) -> bool:
        """Let the others have the end of a log before this instance's readers; False where that can't be."""
        try:
            async with asyncio.timeout(_LAST_STEP_S):
                return await self._sharing.end(job.feed, ending)
        except (BackplaneUnavailable, TimeoutError):
            return False

    def tell_cancelled(self, generation: str) -> None:
        """Tell whoever works on it that it is to end; on disk it is already."""
        if not self.alone:
            self.backplane.publish(_CANCEL, generation)

    @contextmanager
    def hearing_cancels(self, cancel: Callable[[str], None]) -> Iterator[None]:
        def told(generation: str | None) -> None:
            if generation is not None:
                cancel(generation)

        with self.backplane.listen(_CANCEL, told):
            yield

    def tell_left(self) -> None:
        """Tell the others that there is work without an owner."""
        self.backplane.publish(_LEFT, "")

    @contextmanager
    def hearing_left(self, look: Callable[[], None]) -> Iterator[None]:
        with self.backplane.listen(_LEFT, lambda _: look()):
            yield

    def lose(self, job: Job) -> None:
        """Follow what another instance owns from now on."""
        self._sharing.unshare(job.feed)
        self._following.adopt(job.feed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sharing.run(), name="peers: sharing")
            tasks.create_task(self._following.run(), name="peers: following")

    async def settle(self) -> None:
        """Let the others have what this process made last, if that can be done now."""
        try:
            async with asyncio.timeout(_LAST_STEP_S):
                await self._sharing.settle_all()
        except TimeoutError:
            return

    async def _stored(self, generations: Sequence[str]) -> Mapping[str, StoredLog]:
        ended = await self._generations.ended(generations)
        return {record.id: stored_log(record) for record in ended}


async def _ended(feed: Feed) -> None:
    news = asyncio.Event()
    with Cursor(feed, START, news.set):
        while not feed.log.ended:
            news.clear()
            await news.wait()
