"""What a WebSocket sends, and in which order, without a WebSocket."""

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.errors import TooMany
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel, Delta, Ending, Reset, ResetReason, Started
from chatserver.generation.position import START, Position
from chatserver.generation.states import Reason
from chatserver.transports.outgoing import Flooded, Outgoing
from chatserver.transports.sources import GenerationSource, Opener
from tests.unit.asgi import messages_of
from tests.unit.properties import PROPERTY


def begun(name: str) -> Feed:
    feed = Feed(name)
    feed.begin(1, 0)
    feed.add(Started("m", 1))
    return feed


def say(feed: Feed, text: str) -> None:
    feed.add(Delta(Channel.ANSWER, text))


def from_start(feed: Feed, after: Position = START) -> Opener:
    return partial(GenerationSource, feed, after)


class Line:
    """Where the frames go: at once, or one by one when the other side takes them."""

    def __init__(self, *, slow: bool = False) -> None:
        self.frames: list[dict[str, Any]] = []
        #: Frames that came by the short way.
        self.short = 0
        self._slow = slow
        self._sending: deque[asyncio.Future[None]] = deque()

    async def send(self, text: str) -> None:
        self.frames.append(orjson.loads(text))
        if self._slow:
            self._sending.append(asyncio.get_running_loop().create_future())
            await self._sending[-1]

    @property
    def free(self) -> bool:
        return not self._sending

    def write(self, piece: bytes) -> None:
        assert self.free
        for text in messages_of(piece):
            self.frames.append(orjson.loads(text))
            self.short += 1
            if self._slow:
                self._sending.append(asyncio.get_running_loop().create_future())

    async def take(self) -> None:
        """Take the frame that is being sent; the next one follows."""
        await settle()
        self._sending.popleft().set_result(None)
        await settle()

    @property
    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.frames]


STEPS = ["say", "follow", "leave", "begin anew", "end", "take", "take"]


async def settle() -> None:
    """Let everything that can go on do so; nothing here waits for anything outside the loop."""
    for _ in range(10):
        await asyncio.sleep(0)


async def written(outgoing: Outgoing, line: Line) -> asyncio.Task[None]:
    writing = asyncio.create_task(outgoing.write(line.send))
    await settle()
    return writing


async def test_what_is_answered_in_the_same_step_comes_before_the_first_frame() -> None:
    outgoing, line, feed = Outgoing(10), Line(), begun("gen_1")
    writing = await written(outgoing, line)
    outgoing.follow("gen_1", from_start(feed))
    say(feed, "Hello")
    outgoing.answer({"type": "accepted"})
    await settle()
    assert line.kinds == ["accepted", "started", "delta"]
    writing.cancel()
    outgoing.close()


async def test_a_slow_line_finds_text_joined_and_holds_up_nobody() -> None:
    outgoing, line, feed = Outgoing(10), Line(slow=True), begun("gen_1")
    writing = await written(outgoing, line)
    outgoing.follow("gen_1", from_start(feed))
    await settle()
    for word in ("one ", "two ", "three"):
        say(feed, word)
    await line.take()
    await line.take()
    assert [frame.get("text") for frame in line.frames] == [None, "one two three"]
    writing.cancel()
    outgoing.close()


async def test_an_answer_overtakes_the_frames_that_follow_the_one_in_flight() -> None:
    outgoing, line = Outgoing(10), Line(slow=True)
    feeds = [begun(f"gen_{n}") for n in range(3)]
    writing = await written(outgoing, line)
    for feed in feeds:
        outgoing.follow(feed.generation, from_start(feed))
    await settle()
    outgoing.answer({"type": "pong"})
    for _ in range(4):
        await line.take()
    assert [frame.get("generation", "pong") for frame in line.frames] == ["gen_0", "pong", "gen_1", "gen_2"]
    writing.cancel()
    outgoing.close()


async def test_nothing_of_an_old_follow_comes_after_the_answer_to_the_new_one() -> None:
    outgoing, line, feed = Outgoing(10), Line(slow=True), begun("gen_1")
    writing = await written(outgoing, line)
    feed.extend([Delta(Channel.THINKING, "a"), Delta(Channel.ANSWER, "b"), Delta(Channel.THINKING, "c")])
    outgoing.follow("gen_1", from_start(feed))
    await settle()
    # One of four frames is in flight.
    outgoing.follow("gen_1", from_start(feed, feed.log.position))
    outgoing.answer({"type": "ok"})
    say(feed, "new")
    for _ in range(6):
        await line.take()
    assert line.kinds == ["started", "delta", "delta", "delta", "ok", "delta"]
    assert line.frames[-1]["text"] == "new"
    writing.cancel()
    outgoing.close()


async def test_nothing_comes_of_what_was_left() -> None:
    outgoing, line, feed = Outgoing(10), Line(), begun("gen_1")
    writing = await written(outgoing, line)
    outgoing.follow("gen_1", from_start(feed))
    outgoing.leave("gen_1")
    outgoing.leave("gen_1")
    outgoing.answer({"type": "ok"})
    say(feed, "unheard")
    await settle()
    assert line.kinds == ["ok"]
    assert (feed.readers, len(outgoing)) == (0, 0)
    writing.cancel()


@pytest.mark.parametrize("short", [False, True], ids=["by messages", "the short way"])
async def test_a_source_that_tells_of_news_after_it_was_left_disturbs_nobody(short) -> None:
    line, feed, told = Line(), begun("gen_1"), []
    outgoing = Outgoing(10, line if short else None)

    def watched(on_news) -> GenerationSource:
        told.append(on_news)
        return GenerationSource(begun("gen_2"), START, on_news)

    writing = await written(outgoing, line)
    outgoing.follow("gen_1", from_start(feed))
    outgoing.follow("gen_2", watched)
    outgoing.leave("gen_2")
    told[0]()
    await settle()
    say(feed, "heard")
    await settle()
    assert line.kinds == ["started", "delta"]
    assert not writing.done()
    writing.cancel()
    outgoing.close()


async def test_what_has_ended_is_left_by_itself() -> None:
    outgoing, line, feed = Outgoing(10), Line(), begun("gen_1")
    writing = await written(outgoing, line)
    outgoing.follow("gen_1", from_start(feed))
    feed.add(Ending(Reason.COMPLETED, ""))
    await settle()
    assert line.kinds == ["started", "end"]
    assert (feed.readers, len(outgoing)) == (0, 0)
    writing.cancel()


async def test_following_anew_while_the_old_end_is_in_flight_is_not_undone_by_it() -> None:
    outgoing, line, feed = Outgoing(10), Line(slow=True), begun("gen_1")
    writing = await written(outgoing, line)
    feed.add(Ending(Reason.COMPLETED, ""))
    outgoing.follow("gen_1", from_start(feed))
    await line.take()
    outgoing.follow("gen_1", from_start(feed))
    await line.take()
    assert len(outgoing) == 1
    await line.take()
    await line.take()
    assert line.kinds == ["started", "end", "started", "end"]
    assert len(outgoing) == 0
    writing.cancel()


async def test_no_more_is_followed_than_may_be_and_a_new_position_is_always_possible() -> None:
    outgoing, feeds = Outgoing(2), [begun(f"gen_{n}") for n in range(3)]
    for feed in feeds[:2]:
        outgoing.follow(feed.generation, from_start(feed))
    with pytest.raises(TooMany, match="may follow 2 things at once") as raised:
        outgoing.follow("gen_2", from_start(feeds[2]))
    assert raised.value.facts["limit"] == 2
    outgoing.follow("gen_1", from_start(feeds[1]))
    assert [feed.readers for feed in feeds] == [1, 1, 0]
    outgoing.leave("gen_0")
    outgoing.follow("gen_2", from_start(feeds[2]))
    outgoing.close()
    assert [feed.readers for feed in feeds] == [0, 0, 0]


async def test_who_asks_without_reading_answers_is_a_flood() -> None:
    outgoing = Outgoing(10)
    for n in range(1000):
        outgoing.answer({"n": n})
    with pytest.raises(Flooded) as raised:
        outgoing.answer({})
    assert (raised.value.close_code, raised.value.code) == (4429, "flood")


async def test_finishing_sends_the_answers_that_wait_and_no_news() -> None:
    outgoing, line, feed = Outgoing(10), Line(), begun("gen_1")
    outgoing.follow("gen_1", from_start(feed))
    outgoing.answer({"type": "ok", "n": 1})
    outgoing.answer({"type": "ok", "n": 2})
    outgoing.finish()
    await asyncio.wait_for(outgoing.write(line.send), 1)
    assert line.frames == [{"type": "ok", "n": 1}, {"type": "ok", "n": 2}]
    outgoing.close()


async def test_a_busy_source_doesnt_starve_the_others() -> None:
    outgoing, line = Outgoing(10), Line(slow=True)
    busy, quiet = begun("busy"), begun("quiet")
    writing = await written(outgoing, line)
    outgoing.follow("busy", from_start(busy))
    outgoing.follow("quiet", from_start(quiet))
    for _ in range(6):
        await settle()
        say(busy, "x")
        say(quiet, "y")
        await line.take()
    senders = [frame["generation"] for frame in line.frames]
    assert senders[:6:1].count("quiet") >= 2
    writing.cancel()
    outgoing.close()


async def test_a_token_wakes_nobody_while_the_line_is_free() -> None:
    line, feed = Line(), begun("gen_1")
    outgoing = Outgoing(10, line)
    writing = await written(outgoing, line)
    outgoing.follow("gen_1", from_start(feed))
    outgoing.answer({"type": "accepted"})
    await settle()
    for word in ("one ", "two "):
        say(feed, word)
        await settle()
    feed.add(Ending(Reason.COMPLETED, ""))
    await settle()
    assert line.kinds == ["accepted", "started", "delta", "delta", "end"]
    assert line.short == 3
    assert (feed.readers, len(outgoing)) == (0, 0)
    writing.cancel()


@pytest.mark.parametrize("short", [False, True], ids=["by messages", "the short way"])
@PROPERTY
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(STEPS), st.booleans()), max_size=40))
def test_however_it_is_used_each_follow_gets_each_text_once_and_in_order(short, steps) -> None:
    asyncio.run(play(steps, short=short))


async def play(steps: list[tuple[int, str, bool]], *, short: bool) -> None:
    line = Line(slow=True)
    outgoing = Outgoing(10, line if short else None)
    talks = [Talk(begun(f"gen_{n}")) for n in range(3)]
    writing = await written(outgoing, line)
    for n, step, at_once in steps:
        talk = talks[n]
        if step == "follow":
            talk.follow(outgoing)
        elif step == "leave":
            talk.leave(outgoing)
        elif step == "take" and line._sending:
            await line.take()
        elif not talk.feed.log.ended:
            talk.go_on(step)
        if not at_once:
            await settle()
    await settle()
    while line._sending:
        await line.take()
    for talk in talks:
        ended = talk.feed.log.ended
        assert talk.feed.readers == (talk.followed and not ended)
        if talk.followed:
            assert heard(line, talk.feed.generation) == (talk.spoken, ended)
    writing.cancel()
    outgoing.close()
    assert [talk.feed.readers for talk in talks] == [0, 0, 0]


@dataclass
class Talk:
    """A log, and what who follows it has to hear."""

    feed: Feed
    spoken: str = ""
    followed: bool = False

    def follow(self, outgoing: Outgoing) -> None:
        self.followed = True
        outgoing.follow(self.feed.generation, from_start(self.feed))
        outgoing.answer({"type": "ok", "generation": self.feed.generation})

    def leave(self, outgoing: Outgoing) -> None:
        self.followed = False
        outgoing.leave(self.feed.generation)

    def go_on(self, step: str) -> None:
        if step == "say":
            word = f"{self.feed.log.top} "
            self.spoken += word
            say(self.feed, word)
        elif step == "begin anew":
            self.spoken = ""
            self.feed.extend([Reset(ResetReason.ATTEMPT_FAILED), Started("m", 2)])
        elif step == "end":
            self.feed.add(Ending(Reason.COMPLETED, ""))


def heard(line: Line, generation: str) -> tuple[str, bool]:
    """Give the text that came since the newest answer, and whether its end did, which nothing may follow."""
    mine = [frame for frame in line.frames if frame["generation"] == generation]
    kinds = [frame["type"] for frame in mine]
    newest = len(kinds) - kinds[::-1].index("ok")
    assert kinds[newest] in {"started", "reset"}
    text = ""
    for frame in mine[newest:]:
        text = "" if frame["type"] == "reset" else text + frame.get("text", "")
    assert "end" not in kinds[newest:-1]
    return text, kinds[-1] == "end"
