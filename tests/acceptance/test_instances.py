"""What is accepted by one instance is read, watched, stopped and deleted through any other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle

import pytest
import pytest_asyncio

from tests.harness.client import Client, Refused, client_of
from tests.harness.instances import Cluster, cluster_of
from tests.harness.postgres import Postgres
from tests.harness.processes import simulator_stats
from tests.harness.readers import TRANSPORTS, Moment, Transport, read, read_whole
from tests.harness.received import Received
from tests.harness.watching import Watch, collect, each_way
from tests.harness.websocket import socket

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Above what all the other tests send, as one user, in a minute.
_A_MINUTE = 60
_AT_ONCE = 6
#: Seconds that news may take between instances, and between two looks for it.
_PATIENCE_S = 10
_LOOK_AGAIN_S = 0.1

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> AsyncIterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    settings = {
        "ollama.slots": 8,
        "server.trusted_proxies": "127.0.0.1",
        "limits.messages_per_minute": _A_MINUTE,
        "limits.outstanding_per_user": _AT_ONCE,
    }
    async with cluster_of(folder, postgres, 2, settings, ("--rate", "100")) as cluster:
        yield cluster
        for process in cluster.servers:
            assert await process.terminate() == 0
            assert process.complaints == []


@pytest.fixture
def here(cluster: Cluster) -> Client:
    return cluster.clients[0]


@pytest.fixture
def there(cluster: Cluster) -> Client:
    return cluster.clients[1]


@each_transport
async def test_an_answer_is_read_elsewhere_as_it_is_made(
    here: Client, there: Client, transport: Transport
) -> None:
    generation = await here.ask("Tell me of the sea. [[tokens=60]]")
    near, far = await asyncio.gather(read_whole(here, generation), read_whole(there, generation, transport))
    assert far.end == near.end
    assert (far.answer, far.resets) == (near.answer, [])
    # It came as it was made, not as a whole in the end.
    assert far.taken > 3


@each_transport
async def test_a_reader_changes_the_instance_in_mid_answer(
    here: Client, there: Client, transport: Transport
) -> None:
    received = Received(await here.ask("Tell me of the sea. [[tokens=60]]"))
    for _ in range(3):
        for client in (here, there):
            at = len(received.answer)
            await read(client, received, transport, lambda received, at=at: len(received.answer) > at + 10)
    await read(there, received, transport)
    assert received.end is not None
    assert received.resets == []


async def test_an_answer_that_has_ended_keeps_its_positions_elsewhere(here: Client, there: Client) -> None:
    received = Received(await here.ask("Tell me of the sea. [[tokens=30]]"))
    await read(here, received, TRANSPORTS[0], lambda received: len(received.answer) > 20)
    whole = await read_whole(here, received.generation)
    await read(there, received, TRANSPORTS[0])
    assert received.answer == whole.answer
    assert received.resets == []


async def test_the_text_so_far_is_seen_elsewhere(here: Client, there: Client) -> None:
    generation = await here.ask("Tell me of the sea. [[tokens=100000]]")
    received = Received(generation)
    await read(there, received, TRANSPORTS[0], lambda received: len(received.answer) > 20)
    seen = await there.generation(generation)
    assert seen["status"] == "running"
    assert seen["result"].startswith(received.answer)
    await there.cancel(generation)


@each_transport
async def test_what_runs_here_is_stopped_from_elsewhere(
    cluster: Cluster, here: Client, there: Client, transport: Transport
) -> None:
    received = Received(await here.ask("Tell me of the sea. [[tokens=100000]]"))
    moment = Moment(lambda: len(received.answer) > 10)
    reading = asyncio.create_task(read(here, received, transport, moment.look))
    await moment.wait()
    await there.cancel(received.generation)
    await reading
    assert received.end is not None
    assert received.end["reason"] == "cancelled"
    await simulator_stats(cluster.simulator.url, in_flight=0)


@each_way
async def test_what_changes_here_is_told_elsewhere(here: Client, there: Client, watch: Watch) -> None:
    conversation = await here.begin()
    watching = asyncio.create_task(
        collect(
            watch(there, conversation, None),
            lambda frame: frame["type"] == "generation" and frame["resource"]["status"] == "completed",
        )
    )
    await asyncio.sleep(0)
    turn = await here.send(conversation, "Hello [[tokens=3]]")
    await read_whole(here, turn["generation"]["id"])
    told = await watching
    assert told[-1]["resource"]["id"] == turn["generation"]["id"]


async def test_what_is_deleted_elsewhere_ends_here(cluster: Cluster, here: Client, there: Client) -> None:
    conversation = await here.begin()
    turn = await here.send(conversation, "Tell me of the sea. [[tokens=100000]]")
    received = Received(turn["generation"]["id"])
    moment = Moment(lambda: len(received.answer) > 10)
    reading = asyncio.create_task(read(here, received, TRANSPORTS[0], moment.look))
    await moment.wait()
    await there.delete(conversation)
    await reading
    assert received.end is not None
    assert received.end["reason"] == "cancelled"
    with pytest.raises(Refused):
        await here.conversation(conversation)
    await simulator_stats(cluster.simulator.url, in_flight=0)


async def test_a_key_used_here_is_known_elsewhere(here: Client, there: Client) -> None:
    first = await here.hand_in("Hello [[tokens=2]]", key="the-same-key")
    assert await there.hand_in("Hello [[tokens=2]]", key="the-same-key") == first


async def test_messages_a_minute_are_counted_over_all_instances(cluster: Cluster) -> None:
    async with _somebody_on_each(cluster, "10.1.0.1") as clients:
        senders = cycle(clients)
        for client, _ in zip(senders, range(_A_MINUTE), strict=False):
            await client.cancel(await client.hand_in("Hello [[tokens=1]]"))
        for client in clients:
            with pytest.raises(Refused) as refused:
                await client.hand_in("One more")
            assert (refused.value.problem["status"], refused.value.problem["limit"]) == (429, _A_MINUTE)
            assert 0 < refused.value.problem["retry_after"] <= 60


async def test_answers_on_their_way_are_counted_over_all_instances(cluster: Cluster) -> None:
    async with _somebody_on_each(cluster, "10.1.0.2") as (here, there):
        asked = [client for client in (here, there) for _ in range(_AT_ONCE // 2)]
        begun = [await client.ask("[[tokens=100000]]") for client in asked]
        for client in (here, there):
            with pytest.raises(Refused) as refused:
                await client.ask("One more")
            assert (refused.value.problem["code"], refused.value.problem["limit"]) == ("too_many", _AT_ONCE)
        for generation in begun:
            await here.cancel(generation)
            await read_whole(there, generation)
        await read_whole(there, await there.ask("Again [[tokens=1]]"))


@asynccontextmanager
async def _somebody_on_each(cluster: Cluster, address: str) -> AsyncIterator[list[Client]]:
    """Open a client for each instance, all of one user at an address of its own."""
    async with AsyncExitStack() as stack:
        first, *others = [
            await stack.enter_async_context(client_of(server.url, **{"X-Forwarded-For": address}))
            for server in cluster.servers
        ]
        await first.http.get("/")
        for other in others:
            other.http.cookies.update(first.http.cookies)
        yield [first, *others]


async def test_each_instance_tells_how_many_there_are_and_their_connections_in_all(cluster: Cluster) -> None:
    here, there = cluster.clients
    async with socket(here.url, cookies=here.cookies), socket(here.url, cookies=here.cookies):
        await _told_by(there, "connected; 2 instances with 2 connections")
    await _told_by(there, "connected; 2 instances with 0 connections")


async def _told_by(client: Client, words: str) -> None:
    """Wait until an instance says so of what it shares with the others."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            health = (await client.http.get("/health/ready")).json()
            if health["parts"]["backplane"]["detail"] == words:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
