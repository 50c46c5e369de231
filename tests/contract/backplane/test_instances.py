"""An owner on one instance and readers on another: they see one log, whatever happens between them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import pytest
import pytest_asyncio

from chatserver.backplane.following import Following
from chatserver.backplane.port import Backplane
from chatserver.backplane.sharing import Sharing
from chatserver.errors import StoreUnavailable
from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.log import StoredLog, text_sha256
from chatserver.generation.pieces import Channel, Delta, Ending, Piece, Reset, Started
from chatserver.generation.position import START, Position
from chatserver.generation.states import Reason

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOG = "gen_1"
_PATIENCE_S = 5
_ROUND_S = 0.05


@dataclass
class Instance:
    backplane: Backplane
    #: What the store knows: generations that still run, by epoch, and those that have ended.
    running: dict[str, int] = field(default_factory=dict)
    ended: dict[str, StoredLog] = field(default_factory=dict)
    fenced: asyncio.Event = field(default_factory=asyncio.Event)
    store_away: bool = False

    def __post_init__(self) -> None:
        self.sharing = Sharing(self.backplane, 0.001, self._runs)
        self.following = Following(self.backplane, self._stored, _ROUND_S)

    def own(self, feed: Feed, epoch: int, known: int = 0) -> Feed:
        self.running[feed.generation] = epoch
        self.sharing.share(feed, self.fenced.set, known)
        return feed

    async def _runs(self, generation: str, epoch: int) -> bool:
        if self.store_away:
            raise StoreUnavailable
        return self.running.get(generation) == epoch

    async def _stored(self, generations: Sequence[str]) -> Mapping[str, StoredLog]:
        return {name: self.ended[name] for name in generations if name in self.ended}


@asynccontextmanager
async def instance_on(backplane: Backplane) -> AsyncIterator[Instance]:
    instance = Instance(backplane)
    tasks = [asyncio.create_task(instance.sharing.run()), asyncio.create_task(instance.following.run())]
    try:
        yield instance
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        instance.following.close()


@pytest_asyncio.fixture(loop_scope="module")
async def instances(pair) -> AsyncIterator[tuple[Instance, Instance]]:
    async with instance_on(pair[0]) as here, instance_on(pair[1]) as there:
        yield here, there


class Reader:
    """Reads a feed as a transport does, and remembers what it was given."""

    def __init__(self, feed: Feed, after: Position = START) -> None:
        self._news = asyncio.Event()
        self.cursor = Cursor(feed, after, self._news.set)
        self.text = ""
        self.resets = 0
        self.ending: Ending | None = None

    async def __aenter__(self) -> Self:
        self.cursor.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cursor.__exit__()

    async def until(self, text: str) -> None:
        await self._read_while(lambda: self.text != text)

    async def until_end(self) -> Ending:
        await self._read_while(lambda: self.ending is None)
        assert self.ending is not None
        return self.ending

    async def _read_while(self, waiting) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                while batch := self.cursor.read():
                    for _, piece in batch.entries:
                        self._take(piece)
                if not waiting():
                    return
                self._news.clear()
                await self._news.wait()

    def _take(self, piece: Piece) -> None:
        if isinstance(piece, Delta):
            self.text += piece.text
        elif isinstance(piece, Reset):
            self.text, self.resets = "", self.resets + 1
        elif isinstance(piece, Ending):
            self.ending = piece


def begun(generation: str = LOG, epoch: int = 1) -> Feed:
    feed = Feed(generation)
    feed.begin(epoch, 0)
    return feed


def write(feed: Feed, text: str) -> None:
    for letter in text:
        feed.add(Delta(Channel.ANSWER, letter))


def end(feed: Feed) -> None:
    feed.add(Ending(Reason.COMPLETED, feed.log.sha256()))


async def take_over(instance: Instance, epoch: int, generation: str = LOG) -> Feed:
    """Do as the next owner does: take the shared log and go on with it."""
    history = await instance.backplane.take(generation, epoch)
    assert history is not None
    feed = Feed(generation)
    follower = instance.following.adopt(feed)
    follower.replica.history(history)
    instance.following.forget(feed)
    return instance.own(feed, epoch, known=feed.log.top)


async def test_a_reader_elsewhere_sees_what_the_owner_writes(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    async with Reader(there.following.feed(LOG)) as reader:
        write(feed, "hello")
        await reader.until("hello")
        write(feed, " world")
        end(feed)
        assert (await reader.until_end()).sha256 == text_sha256("hello world")
    assert reader.resets == 0
    assert len(here.sharing) == 0


async def test_a_reader_that_comes_late_gets_the_whole(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    await here.sharing.settle(feed)
    async with Reader(there.following.feed(LOG)) as reader:
        await reader.until("hello")


async def test_a_reader_goes_on_elsewhere_from_its_position(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    async with Reader(feed) as local:
        await local.until("hello")
    write(feed, " world")
    async with Reader(there.following.feed(LOG), local.cursor.position) as reader:
        await reader.until(" world")
    assert reader.resets == 0


async def test_many_pieces_at_once_arrive_in_steps(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    text = "abcdefghij" * 200
    write(feed, text)
    end(feed)
    async with Reader(there.following.feed(LOG)) as reader:
        await reader.until_end()
    assert reader.text == text


async def test_after_a_takeover_readers_go_on_without_a_reset(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    await here.sharing.settle(feed)
    async with Reader(there.following.feed(LOG)) as elsewhere:
        await elsewhere.until("hello")
        there.following.forget(there.following.feed(LOG))
        mine = await take_over(there, 2)
        async with Reader(mine, elsewhere.cursor.position) as reader:
            write(mine, " again")
            await reader.until(" again")
    assert reader.resets == 0


async def test_an_owner_that_was_taken_over_stops_and_follows(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    await here.sharing.settle(feed)
    async with Reader(feed) as behind, Reader(feed) as ahead:
        await behind.until("hello")
        mine = await take_over(there, 2)
        # Seen by a local reader, never shared.
        write(feed, " lost")
        await ahead.until("hello lost")
        async with asyncio.timeout(_PATIENCE_S):
            await here.fenced.wait()
        here.following.adopt(feed)
        await here.following.meet(feed, Position(2, 5))
        write(mine, " kept")
        end(mine)
        await behind.until_end()
        await ahead.until_end()
    assert (behind.text, behind.resets) == ("hello kept", 0)
    assert (ahead.text, ahead.resets) == ("hello kept", 1)


async def test_whoever_waits_for_a_log_to_be_shared_goes_on_when_it_has_another_owner(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    await here.sharing.settle(feed)
    await take_over(there, 2)
    write(feed, " lost")
    async with asyncio.timeout(_PATIENCE_S):
        await here.sharing.settle(feed)
    assert here.fenced.is_set()
    assert not await here.sharing.end(feed, Ending(Reason.COMPLETED, feed.log.sha256()))


async def test_a_reader_with_a_position_of_an_unheard_epoch_is_not_told_to_forget(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    await here.sharing.settle(feed)
    followed = here.following.feed("gen_other")
    assert followed.log.epoch == 0
    theirs = there.following.feed(LOG)
    async with Reader(theirs) as first:
        await first.until("hello")
        mine = await take_over(here, 2)
        write(mine, "!")
        await there.following.meet(theirs, Position(2, 6))
        async with Reader(theirs, Position(2, 6)) as reader:
            write(mine, "?")
            await reader.until("?")
    assert reader.resets == 0


async def test_what_ended_unheard_is_ended_as_the_store_has_it(instances):
    _, there = instances
    async with Reader(there.following.feed(LOG)) as reader:
        pieces: list[Piece] = [Delta(Channel.ANSWER, "hi"), Ending(Reason.COMPLETED, text_sha256("hi"))]
        there.ended[LOG] = StoredLog(pieces, Position(3, 9))
        await reader.until_end()
    assert reader.text == "hi"


async def test_an_end_that_was_stored_but_never_shared_reaches_readers_elsewhere(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    write(feed, "hello")
    await here.sharing.settle(feed)
    async with Reader(there.following.feed(LOG)) as reader:
        await reader.until("hello")
        # Its owner dies between the two.
        whole: list[Piece] = [Delta(Channel.ANSWER, "hello"), Ending(Reason.COMPLETED, text_sha256("hello"))]
        there.ended[LOG] = StoredLog(whole, Position(1, feed.log.top + 1))
        await reader.until_end()
    assert (reader.text, reader.resets) == ("hello", 0)


async def test_of_an_answer_that_ended_unshared_readers_elsewhere_get_the_missing_rest_alone(instances):
    here, there = instances
    feed = here.own(begun(), 1)
    feed.add(Started("m", 1))
    write(feed, "hello")
    await here.sharing.settle(feed)
    async with Reader(there.following.feed(LOG)) as reader:
        await reader.until("hello")
        text = "hello, and more"
        whole = [Started("m", 1), Delta(Channel.ANSWER, text), Ending(Reason.COMPLETED, text_sha256(text))]
        # Some pieces more were written, and never shared.
        there.ended[LOG] = StoredLog(whole, Position(1, feed.log.top + 5))
        await reader.until_end()
    assert (reader.text, reader.resets) == (text, 0)


async def test_what_nobody_reads_any_more_is_followed_no_longer(instances):
    _, there = instances
    async with Reader(there.following.feed(LOG)):
        assert len(there.following) == 1
    there.following._let_go()
    there.following._let_go()
    assert len(there.following) == 0
