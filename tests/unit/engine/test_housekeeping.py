"""What follows answers by itself."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from chatserver.engine.housekeeping import Housekeeping
from chatserver.errors import Full
from chatserver.generation.states import Reason
from tests.unit.engine.talks import chores_of
from tests.unit.works import PATIENCE, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Noted:
    """An errand that notes whom it was run for, and waits until it may go on."""

    def __init__(self, error: Exception | None = None) -> None:
        self.runs: list[str] = []
        self.go = asyncio.Event()
        self.error = error

    async def run(self, answered) -> None:
        self.runs.append(answered.message)
        if self.error:
            raise self.error
        await self.go.wait()


def following(works: Works, *errands, most: int = 10) -> Housekeeping:
    housekeeping = Housekeeping(chores_of(works), errands, most)
    works.engine.on_done = housekeeping.done
    return housekeeping


async def ended(works: Works, said: str = "[[tokens=2]]", conversation=None) -> str:
    conversation = conversation or await works.converse()
    generation = await works.turn(conversation, said)
    await works.ended(generation)
    await works.idle()
    return (await works.record(generation)).message


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody is told of these tasks
            await asyncio.sleep(0)


async def test_errands_follow_an_answer_one_after_the_other(alone) -> None:
    first, second = Noted(), Noted()
    housekeeping = following(alone, first, second)
    message = await ended(alone)
    await until(lambda: first.runs == [message])
    assert second.runs == []
    first.go.set()
    await until(lambda: second.runs == [message])
    second.go.set()
    await until(lambda: len(housekeeping) == 0)


async def test_one_conversation_has_one_at_a_time_and_then_what_came_last(alone) -> None:
    noted = Noted()
    housekeeping = following(alone, noted)
    conversation = await alone.converse()
    messages = [await ended(alone, conversation=conversation) for _ in range(3)]
    assert (noted.runs, len(housekeeping)) == (messages[:1], 1)
    noted.go.set()
    await until(lambda: len(housekeeping) == 0)
    assert noted.runs == [messages[0], messages[2]]


async def test_lines_of_what_waited_for_an_earlier_errand_name_its_own_answer(alone) -> None:
    noted = Noted()
    following(alone, noted)
    conversation = await alone.converse()
    await ended(alone, conversation=conversation)
    await until(lambda: len(noted.runs) == 1)
    last = await alone.turn(conversation, "[[tokens=2]]")
    await alone.ended(last)
    await alone.idle()
    noted.error = Full()
    with capture_logs(processors=[merge_contextvars]) as lines:
        noted.go.set()
        await until(lambda: len(noted.runs) == 2)
    assert [(line["event"], line["generation"]) for line in lines] == [("housekeeping_put_off", last)]


async def test_only_so_many_conversations_wait(alone) -> None:
    noted = Noted()
    housekeeping = following(alone, noted, most=2)
    for _ in range(4):
        await ended(alone)
    assert len(housekeeping) == len(noted.runs) == 2
    await housekeeping.close()
    assert len(housekeeping) == 0


async def test_what_did_not_end_well_or_has_no_conversation_has_no_follow_up(alone) -> None:
    noted = Noted()
    following(alone, noted)
    await ended(alone, "[[fault=status-500]]")
    stopped = await alone.turn(await alone.converse(), "[[fault=stall]] [[tokens=8]]")
    await alone.answering(stopped)
    alone.engine.cancel(stopped)
    await alone.idle()
    await alone.ended(await alone.accept("[[tokens=2]]"))
    await alone.idle()
    assert noted.runs == []


async def test_an_errand_that_can_not_be_done_now_does_not_keep_the_others(alone) -> None:
    full, noted = Noted(Full()), Noted()
    following(alone, full, noted)
    message = await ended(alone)
    await until(lambda: noted.runs == [message])
    noted.go.set()


async def test_an_errand_that_fails_ends_only_itself(alone, caplog) -> None:
    broken = Noted(RuntimeError("broken"))
    housekeeping = following(alone, broken)
    await ended(alone)
    await until(lambda: len(housekeeping) == 0)
    await ended(alone)
    await until(lambda: len(broken.runs) == 2)


async def test_after_the_end_nothing_follows(alone) -> None:
    noted = Noted()
    housekeeping = following(alone, noted)
    await ended(alone)
    await housekeeping.close()
    await ended(alone)
    assert len(noted.runs) == 1


async def test_a_server_gives_titles_by_itself(tmp_path) -> None:
    async with working(tmp_path, housekeeping__titles=True, ollama__slots=1) as works:
        conversation = await works.converse()
        generation = await works.turn(conversation, "How do I bake bread with rye?")
        log = await works.ended(generation)
        assert log.ending.reason is Reason.COMPLETED
        await until(lambda: len(works.parts.housekeeping) == 0 and not works.engine.running)
        found = await works.parts.store.conversations.get(conversation.principal, conversation.id)
        assert found.title_made
        assert found.title.startswith("Bake bread rye")
