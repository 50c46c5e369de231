"""Stop means stop: at the reader, on disk and at the model server, in each state, within 100 ms."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

import pytest

from tests.harness.client import CALL_S, Client
from tests.harness.readers import TRANSPORTS, Transport, by_longpoll, read, read_whole
from tests.harness.received import Received
from tests.harness.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

_WITHIN_MS = 100
_TIMES = 5

Record = Callable[[str, object], None]
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture
def service(narrow_service: Service) -> Service:
    return narrow_service


async def _cancel(
    client: Client,
    generation: str,
    transport: Transport,
    state: Callable[[Received], bool],
    *noticed: Awaitable[object],
) -> tuple[Received, list[float]]:
    """Cancel as soon as a reader sees `state`; gives what it read in all, and the milliseconds that it took.

    Behind the reader's come the milliseconds until others have noticed.
    """
    received, reached = Received(generation), asyncio.Event()

    def look(one: Received) -> bool:
        if state(one):
            reached.set()
        return False

    ends = [read(client, received, transport, until=look), *noticed]
    times = [asyncio.create_task(_time_of(end)) for end in ends]
    async with asyncio.timeout(CALL_S):
        await reached.wait()
    since = time.monotonic()
    assert (await client.cancel(generation))["id"] == generation
    return received, [1000 * (await end - since) for end in times]


async def _time_of(end: Awaitable[object]) -> float:
    await end
    return time.monotonic()


async def _check_cancelled(client: Client, received: Received) -> None:
    """There is one end, and what is kept is what was shown."""
    assert received.end is not None
    assert (received.end["reason"], received.end["error"], received.end["usage"]) == ("cancelled", None, None)
    kept = await client.generation(received.generation)
    assert (kept["status"], kept["reason"], kept["result"]) == ("cancelled", "cancelled", received.answer)
    assert (kept["sha256"], kept["after"]) == (received.end["sha256"], received.after)
    for transport in TRANSPORTS:
        again = await read_whole(client, received.generation, transport)
        assert (again.answer, again.end, again.after) == (received.answer, received.end, received.after)


def _check_times(record: Record, where: str, times: list[float]) -> None:
    record(where, f"median {median(times):.1f} ms, longest {max(times):.1f} ms of {len(times)}")
    assert median(times) <= _WITHIN_MS


@each_transport
async def test_what_waits_in_the_queue_ends_without_a_request_to_the_model(
    service: Service, client: Client, transport: Transport, record_property: Record
) -> None:
    running = await client.ask("Before. [[fault=slow-first-token]]")
    await service.seen(in_flight=1)
    asked, times = await service.asked(), []
    for _ in range(_TIMES):
        waiting = await client.ask("Never. [[tokens=5]]")
        received, (at_reader,) = await _cancel(client, waiting, transport, lambda one: bool(one.places))
        # Its end is all there ever is of it.
        assert (received.taken, received.answer) == (1, "")
        await _check_cancelled(client, received)
        times.append(at_reader)
    _check_times(record_property, "at the reader", times)

    await client.cancel(running)
    # The slot is free at once for whoever is next.
    await read_whole(client, await client.ask("Next. [[tokens=2]]"))
    assert await service.asked() == asked + 1


@each_transport
@pytest.mark.parametrize(
    ("content", "state"),
    [
        ("Slowly. [[fault=slow-first-token]]", lambda one: one.started is not None),
        ("At length. [[tokens=100000]]", lambda one: len(one.answer) > 40),
    ],
    ids=["before the first token", "in mid-answer"],
)
async def test_what_runs_ends_here_and_at_the_model_server(
    *,
    service: Service,
    client: Client,
    content: str,
    state: Callable[[Received], bool],
    transport: Transport,
    record_property: Record,
) -> None:
    at_readers, at_servers = [], []
    for _ in range(_TIMES):
        conversation = await client.begin()
        generation = (await client.send(conversation, content))["generation"]["id"]
        before = await service.seen(in_flight=1)
        noticed = service.seen(in_flight=0, cancelled=before["cancelled"] + 1)
        received, (at_reader, at_server) = await _cancel(client, generation, transport, state, noticed)
        await _check_cancelled(client, received)
        assert (await client.messages(conversation))[1]["content"] == received.answer
        at_readers.append(at_reader)
        at_servers.append(at_server)
    _check_times(record_property, "at the reader", at_readers)
    _check_times(record_property, "at the model server", at_servers)


async def test_a_cancel_that_comes_again_or_too_late_changes_nothing(client: Client) -> None:
    generation = await client.ask("Long. [[tokens=100000]]")
    await asyncio.gather(*(client.cancel(generation) for _ in range(5)))
    received = await read_whole(client, generation)
    await client.cancel(generation)
    await _check_cancelled(client, received)

    completed = await read_whole(client, await client.ask("Short. [[tokens=2]]"))
    assert (await client.cancel(completed.generation))["status"] == "completed"
    assert (await read_whole(client, completed.generation)).end == completed.end


async def test_a_cancel_in_the_very_moment_of_acceptance_counts(client: Client) -> None:
    for transport in TRANSPORTS:
        generation = await client.ask("Long. [[tokens=100000]]")
        received, _ = await asyncio.gather(
            read_whole(client, generation, transport), client.cancel(generation)
        )
        await _check_cancelled(client, received)


async def test_a_reader_that_leaves_stops_nothing(service: Service, client: Client) -> None:
    before = await service.seen(in_flight=0)
    generation = await client.ask("Alone. [[tokens=30]]")
    await read(client, Received(generation), by_longpoll, until=lambda one: one.taken > 0)
    await service.seen(served=before["served"] + 1)
    received = await read_whole(client, generation)
    assert received.end is not None
    assert received.end["reason"] == "completed"
