import asyncio
from contextlib import ExitStack, suppress

import pytest

from chatserver.errors import Draining, Full
from chatserver.telemetry.metrics import Metrics
from chatserver.transports import readers as module
from chatserver.transports.readers import Readers


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def open_connections(metrics: Metrics, transport: str) -> float:
    value = metrics.registry.get_sample_value("chatserver_connections", {"transport": transport})
    assert value is not None
    return value


def deaf() -> None:
    """Stands for a reader that is told nothing in this test."""


async def is_over(waiting: asyncio.Task[None]) -> bool:
    await asyncio.sleep(0)
    return waiting.done()


async def test_readers_are_counted_however_they_leave(metrics) -> None:
    readers = Readers(10, metrics)
    with (
        suppress(ZeroDivisionError),
        readers.reading("sse", lambda: None),
        readers.reading("websocket", deaf),
    ):
        assert (len(readers), open_connections(metrics, "websocket")) == (2, 1)
        raise ZeroDivisionError
    assert len(readers) == 0
    assert [open_connections(metrics, transport) for transport in ("sse", "websocket")] == [0, 0]


async def test_beyond_its_bound_it_is_full_and_counts_nobody(metrics) -> None:
    readers = Readers(2, metrics)
    with readers.reading("sse", lambda: None), readers.reading("sse", lambda: 1):  # type: ignore[arg-type,return-value]
        with pytest.raises(Full, match="as many connections as it takes"), readers.reading("sse", deaf):
            raise AssertionError("let in")
        assert (len(readers), open_connections(metrics, "sse")) == (2, 2)
    with readers.reading("sse", deaf):
        assert len(readers) == 1


async def test_each_reader_is_told_once_to_go_even_if_telling_one_makes_another_leave(metrics) -> None:
    readers, told = Readers(10, metrics), []
    with ExitStack() as first, readers.reading("sse", lambda: told.append("second")):
        first.enter_context(readers.reading("sse", lambda: (told.append("first"), first.close())))  # type: ignore[arg-type,return-value]
        readers.finish()
        assert sorted(told) == ["first", "second"]
        assert readers.over


async def test_who_comes_when_it_is_over_is_told_at_once(metrics) -> None:
    readers, told = Readers(10, metrics), []
    readers.finish()
    with readers.reading("websocket", lambda: told.append("late")):
        assert told == ["late"]


async def test_who_comes_when_it_is_over_and_others_are_there_is_refused(metrics) -> None:
    readers = Readers(10, metrics)
    readers.finish(elsewhere=True)
    with pytest.raises(Draining), readers.reading("sse", deaf):
        pass
    # What has been accepted is answered here.
    with readers.reading("sse", deaf, expected=True):
        assert len(readers) == 1


async def test_the_last_one_gone_ends_the_wait(metrics) -> None:
    readers = Readers(10, metrics)
    await asyncio.wait_for(readers.gone(), 1)
    with readers.reading("sse", lambda: None):
        waiting = asyncio.create_task(readers.gone())
        with readers.reading("websocket", deaf):
            assert not await is_over(waiting)
        assert not await is_over(waiting)
    await asyncio.wait_for(waiting, 1)


async def test_one_that_polls_is_there_between_two_questions(metrics, monkeypatch) -> None:
    monkeypatch.setattr(module, "_ASKS_AGAIN_S", 0.03)
    readers = Readers(10, metrics)
    readers.asks_again()
    waiting = asyncio.create_task(readers.gone())
    assert not await is_over(waiting)
    with readers.reading("longpoll", deaf):
        await asyncio.sleep(0.04)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)


async def test_while_draining_all_are_told_and_nobody_waits_for_those_who_may_stay(metrics) -> None:
    readers, told = Readers(10, metrics), []
    with readers.reading("longpoll", lambda: told.append("polls"), awaited=False):
        await asyncio.wait_for(readers.gone(), 1)
        with readers.reading("sse", lambda: told.append("reads")):
            readers.drain()
            assert (sorted(told), readers.over) == (["polls", "reads"], False)
            waiting = asyncio.create_task(readers.gone())
            assert not await is_over(waiting)
        await asyncio.wait_for(waiting, 1)
        with readers.reading("websocket", lambda: told.append("late")):
            assert told[-1] == "late"
        readers.finish()
        assert (told[-1], readers.over) == ("polls", True)
