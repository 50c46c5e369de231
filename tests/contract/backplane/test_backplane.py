"""What every backplane does, seen from two instances."""

import asyncio
from collections.abc import Sequence

import pytest

from chatserver.backplane.port import Appending, Backplane, Refused
from chatserver.errors import StaleEpoch
from chatserver.generation.merge import Appended, History, Opened
from chatserver.generation.pieces import Channel, Delta, Ending, Fault, Reset, Started, ToolCalls, Usage
from chatserver.generation.position import Position
from chatserver.generation.states import Reason

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOG = "gen_1"
_PATIENCE_S = 5


class Heard:
    """Collects hints, and waits for as many as a test wants."""

    def __init__(self) -> None:
        self.hints: list[object] = []
        self._news = asyncio.Event()

    def __call__(self, hint: object) -> None:
        self.hints.append(hint)
        self._news.set()

    async def until(self, count: int) -> list[object]:
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.hints) < count:
                self._news.clear()
                await self._news.wait()
        return self.hints


def words(*texts: str) -> list[Delta]:
    return [Delta(Channel.ANSWER, text) for text in texts]


def adding(first: int, *texts: str, epoch: int = 1, generation: str = LOG) -> Appending:
    return Appending(generation, epoch, first, words(*texts))


async def begin(backplane: Backplane, *texts: str) -> None:
    await backplane.open(LOG, [Position(1, 0)])
    assert await backplane.append([adding(1, *texts)]) == [len(texts)]


async def texts_of(backplane: Backplane) -> list[str]:
    history = await backplane.history(LOG)
    assert history is not None
    return [piece.text for piece in history.pieces if isinstance(piece, Delta)]


async def test_what_one_instance_appends_another_reads(pair):
    here, there = pair
    await begin(here, "a", "b")
    assert await there.history(LOG) == History((Position(1, 0),), tuple(words("a", "b")))
    assert await there.tops([LOG, "gen_none"]) == [Position(1, 2), None]


async def test_every_kind_of_piece_arrives_as_it_was(pair):
    here, there = pair
    pieces = [
        Started("m:latest", 1, context={"kept": ["msg_1"]}),
        Delta(Channel.THINKING, "hm\n"),
        ToolCalls([{"function": {"name": "f", "arguments": {"ä": [1, None]}}}]),
        Delta(Channel.ANSWER, "\u2028 🎈 \\n"),
        Reset(),
        Ending(Reason.UPSTREAM_ERROR, "00", Usage(3, 4), Fault("stalled", "It stopped.")),
    ]
    heard = Heard()
    with there.follow(LOG, heard):
        await heard.until(1)
        await here.open(LOG, [Position(1, 0)])
        await here.append([Appending(LOG, 1, 1, pieces)])
        assert await heard.until(2) == [None, Appended(Position(1, 1), tuple(pieces))]
    history = await there.history(LOG)
    assert history is not None
    assert list(history.pieces) == pieces


async def test_one_step_appends_to_many_logs(pair):
    here, there = pair
    names = [f"gen_{number}" for number in range(50)]
    for name in names:
        await here.open(name, [Position(1, 0)])
    batch = [adding(1, *"ab", generation=name) for name in names]
    assert await here.append(batch) == [2] * 50
    assert await there.tops(names) == [Position(1, 2)] * 50


async def test_a_repeated_append_changes_nothing(pair):
    here, there = pair
    await begin(here, "a", "b")
    assert await here.append([adding(1, "a", "b")]) == [2]
    assert await here.append([adding(2, "b", "c")]) == [3]
    assert await texts_of(there) == ["a", "b", "c"]


async def test_an_append_that_would_leave_a_gap_is_not_taken(pair):
    here, _ = pair
    await begin(here, "a")
    assert await here.append([adding(3, "c")]) == [1]
    assert await texts_of(here) == ["a"]


async def test_nothing_is_appended_to_a_log_that_was_not_opened(pair):
    here, there = pair
    assert await here.append([adding(1, "a")]) == [Refused.GONE]
    assert await there.history(LOG) is None


async def test_opening_again_keeps_what_is_there(pair):
    here, _ = pair
    await begin(here, "a")
    await here.open(LOG, [Position(1, 0)])
    assert await texts_of(here) == ["a"]


async def test_who_takes_a_log_gets_all_of_it_and_fences_its_owner(pair):
    here, there = pair
    await begin(here, "a", "b")
    taken = await there.take(LOG, 2)
    assert taken == History((Position(1, 0), Position(2, 2)), tuple(words("a", "b")))
    assert await here.append([adding(3, "lost")]) == [Refused.FENCED]
    assert await there.append([adding(3, "c", epoch=2)]) == [3]
    assert await texts_of(here) == ["a", "b", "c"]


async def test_those_who_follow_hear_that_a_log_was_taken(pair):
    here, there = pair
    await begin(here, "a")
    heard = Heard()
    with here.follow(LOG, heard):
        await heard.until(1)
        await there.take(LOG, 2)
        assert await heard.until(2) == [None, Opened(2, 1)]


async def test_taking_again_under_the_same_epoch_gives_the_same(pair):
    here, there = pair
    await begin(here, "a")
    assert await there.take(LOG, 2) == await there.take(LOG, 2)


async def test_who_is_fenced_can_neither_take_nor_open(pair):
    here, there = pair
    await begin(here, "a")
    await there.take(LOG, 3)
    with pytest.raises(StaleEpoch):
        await here.take(LOG, 2)
    with pytest.raises(StaleEpoch):
        await here.open(LOG, [Position(2, 0)])


async def test_there_is_nothing_to_take_where_there_is_no_log(pair):
    assert await pair[0].take(LOG, 2) is None


async def test_a_log_that_is_put_back_is_read_only_when_it_is_whole(pair):
    here, there = pair
    await here.open(LOG, [Position(1, 0), Position(2, 2)])
    await here.append([adding(1, "a", epoch=2)])
    assert await there.history(LOG) is None
    assert await there.take(LOG, 3) is None
    await here.append([adding(2, "b", "c", epoch=2)])
    assert await there.history(LOG) == History((Position(1, 0), Position(2, 2)), tuple(words(*"abc")))


async def test_an_owner_replaces_a_log_that_fell_behind_its_epoch(pair):
    here, there = pair
    await begin(here, "a", "b")
    assert await there.append([adding(3, "c", epoch=2)]) == [Refused.GONE]
    await there.open(LOG, [Position(1, 0), Position(2, 1)])
    assert await there.append([adding(1, "a", "x", epoch=2)]) == [2]
    assert await texts_of(here) == ["a", "x"]


async def test_hints_reach_all_instances_and_only_who_listens(pair):
    here, there = pair
    mine, theirs, other = Heard(), Heard(), Heard()
    with here.listen("cancel", mine), there.listen("cancel", theirs), there.listen("other", other):
        for heard in (mine, theirs, other):
            await heard.until(1)
        here.publish("cancel", "gen_7")
        assert await mine.until(2) == [None, "gen_7"]
        assert await theirs.until(2) == [None, "gen_7"]
    assert other.hints == [None]


async def test_many_listen_to_one_topic_and_leave_one_by_one(pair):
    here, there = pair
    first, second = Heard(), Heard()
    with here.listen("v", first):
        with here.listen("v", second):
            await first.until(1)
            await second.until(1)
        there.publish("v", "1")
        await first.until(2)
    assert second.hints == [None]


async def test_announcements_come_in_order(pair):
    here, there = pair
    await here.open(LOG, [Position(1, 0)])
    heard = Heard()
    with there.follow(LOG, heard):
        await heard.until(1)
        for n in range(1, 101):
            await here.append([adding(n, str(n))])
        hints: Sequence[object] = (await heard.until(101))[1:]
    assert [hint.first.n for hint in hints if isinstance(hint, Appended)] == list(range(1, 101))
