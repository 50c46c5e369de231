import asyncio
from collections.abc import Collection, Mapping

import pytest

from chatserver.errors import StoreUnavailable
from chatserver.storage.gathering import Gathering


class Shelf:
    """Says what it has of what is asked for, when it is let; notes each question."""

    def __init__(self) -> None:
        self.has = {name: name.upper() for name in "abcde"}
        self.questions: list[set[str]] = []
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    async def read(self, names: Collection[str]) -> Mapping[str, str]:
        self.questions.append(set(names))
        self.was_asked.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return {name: self.has[name] for name in names if name in self.has}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


async def test_those_who_ask_together_share_one_read(shelf) -> None:
    gathering = Gathering(shelf.read)

    found = await asyncio.gather(*(gathering.find(name) for name in "abxa"))

    assert found == ["A", "B", None, "A"]
    assert shelf.questions == [{"a", "b", "x"}]


async def test_who_comes_while_a_read_is_on_its_way_gets_what_a_later_one_finds(shelf) -> None:
    gathering = Gathering(shelf.read)
    shelf.may_answer.clear()
    first = asyncio.create_task(gathering.find("a"))
    await shelf.was_asked.wait()
    later = [asyncio.create_task(gathering.find(name)) for name in "ab"]
    await asyncio.sleep(0)
    shelf.may_answer.set()

    assert await asyncio.gather(first, *later) == ["A", "A", "B"]
    assert shelf.questions == [{"a"}, {"a", "b"}]


async def test_no_more_are_asked_for_at_once_than_that(shelf) -> None:
    gathering = Gathering(shelf.read, most=2)

    assert await asyncio.gather(*(gathering.find(name) for name in "abcde")) == list("ABCDE")
    assert [len(question) for question in shelf.questions] == [2, 2, 1]


async def test_all_who_asked_are_told_of_a_failure_and_the_next_ones_are_not(shelf) -> None:
    gathering = Gathering(shelf.read)
    shelf.error = StoreUnavailable()
    failed = await asyncio.gather(*(gathering.find(name) for name in "ab"), return_exceptions=True)
    shelf.error = None

    assert [type(each) for each in failed] == [StoreUnavailable, StoreUnavailable]
    assert await gathering.find("c") == "C"


async def test_who_goes_away_disturbs_nobody(shelf) -> None:
    gathering = Gathering(shelf.read)
    tasks = [asyncio.create_task(gathering.find(name)) for name in "ab"]
    await asyncio.sleep(0)
    tasks[0].cancel()

    assert await tasks[1] == "B"
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
