"""An instance that dies, leaves or stands still: another one goes on with its answers, and readers follow."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from itertools import cycle

import httpx
import pytest
import pytest_asyncio
from websockets.exceptions import WebSocketException

from tests.harness.client import Client, Json, Refused
from tests.harness.instances import LEASE_S, Cluster, cluster_of
from tests.harness.postgres import Postgres
from tests.harness.readers import READ_S, TRANSPORTS, Moment, read
from tests.harness.received import Received

_ANSWERS = 12
#: Tokens of an answer, and of one that is still being made after something was away for a while.
_TOKENS, _MANY_TOKENS = 150, 400
_BEGUN = 20
#: Seconds before a reader comes back after a loss.
_COME_BACK_S = 0.05

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def cluster(tmp_path, postgres: Postgres) -> AsyncIterator[Cluster]:
    settings = {"ollama.slots": _ANSWERS}
    model = ("--rate", "60", "--parallel", str(_ANSWERS))
    async with cluster_of(tmp_path, postgres, 2, settings, model) as cluster:
        yield cluster


@asynccontextmanager
async def _reading(cluster: Cluster, tokens: int = _TOKENS) -> AsyncIterator[list[Received]]:
    """Have answers made by the first instance and read through both; leave it when they have begun."""
    here = cluster.clients[0]
    generations = [await here.ask(f"Tell me of the sea. [[tokens={tokens}]]") for _ in range(_ANSWERS)]
    readings = [Received(generation) for generation in generations]
    begun = Moment(lambda: all(len(received.answer) > _BEGUN for received in readings))
    async with asyncio.timeout(READ_S), asyncio.TaskGroup() as tasks:
        for n, received in enumerate(readings):
            reader = _follow(cluster.clients, received, n, begun)
            tasks.create_task(reader, name=f"reader {n}")
        await begun.wait()
        yield readings


async def _follow(clients: Sequence[Client], received: Received, first: int, moment: Moment) -> None:
    """Read to the end, through the instances in turn: whoever loses one goes to the next."""
    transports, through = cycle(TRANSPORTS[first % 3 :] + TRANSPORTS[: first % 3]), cycle(clients)
    for _ in range(first):
        next(through)
    while received.end is None:
        try:
            await read(next(through), received, next(transports), moment.look)
        except (httpx.TransportError, WebSocketException, OSError):
            await asyncio.sleep(_COME_BACK_S)
        except Refused as refused:
            if refused.problem["status"] != 503:
                raise
            await asyncio.sleep(_COME_BACK_S)


def _all_whole(readings: Sequence[Received]) -> None:
    assert [received.end["reason"] for received in readings if received.end] == ["completed"] * _ANSWERS


async def test_what_a_killed_instance_was_making_is_made_by_another(cluster: Cluster) -> None:
    async with _reading(cluster) as readings:
        await cluster.servers[0].kill()
    _all_whole(readings)


async def test_what_a_leaving_instance_was_making_is_handed_over_at_once(cluster: Cluster) -> None:
    loop = asyncio.get_running_loop()
    async with _reading(cluster) as readings:
        before = loop.time()
        assert await cluster.servers[0].terminate() == 0
        assert loop.time() - before < LEASE_S + 1
    _all_whole(readings)
    assert cluster.servers[0].complaints == []
    for received in readings:
        assert (await cluster.clients[1].generation(received.generation))["attempts"] == 1


async def test_an_instance_that_stood_still_finds_that_others_have_gone_on(cluster: Cluster) -> None:
    async with _reading(cluster) as readings:
        cluster.servers[0].signal(signal.SIGSTOP)
        await cluster.servers[1].said("taken_in")
        cluster.servers[0].signal(signal.SIGCONT)
    _all_whole(readings)
    for server in cluster.servers:
        assert await server.terminate() == 0
        assert server.complaints == []


async def test_answers_go_on_while_redis_is_away(cluster: Cluster) -> None:
    async with _reading(cluster, _MANY_TOKENS) as readings:
        await cluster.redis.kill()
        await asyncio.sleep(LEASE_S)
        await cluster.redis.start()
    _all_whole(readings)
    assert not any(received.resets for received in readings)


async def test_of_answers_that_end_while_redis_is_away_readers_elsewhere_get_the_rest(
    cluster: Cluster,
) -> None:
    async with _reading(cluster) as readings:
        await cluster.redis.kill()
    _all_whole(readings)
    assert not any(received.resets for received in readings)
    await cluster.redis.start()


async def test_nobody_notices_that_redis_was_emptied(cluster: Cluster) -> None:
    async with _reading(cluster) as readings, cluster.redis.client() as redis:
        await redis.flushall()
    _all_whole(readings)
    assert not any(received.resets for received in readings)


async def test_answers_end_while_the_database_is_away_and_are_kept_when_it_is_back(
    cluster: Cluster, postgres: Postgres
) -> None:
    with ExitStack() as away:
        async with _reading(cluster) as readings:
            postgres.stop()
            away.callback(postgres.start)
            for client in cluster.clients:
                refusal = await client.http.post("/api/v1/generations", json={"prompt": "Hello"})
                assert (refusal.status_code, refusal.json()["code"]) == (503, "store_unavailable")
                assert int(refusal.headers["retry-after"]) > 0
    _all_whole(readings)
    for received in readings:
        kept = await _kept(cluster.clients[1], received.generation)
        assert (kept["status"], kept["result"], kept["attempts"]) == ("completed", received.answer, 1)
    assert not any("taken_in" in line for server in cluster.servers for line in server.lines)


async def _kept(client: Client, generation: str) -> Json:
    """Give what the store has of it, as soon as that is the end."""
    async with asyncio.timeout(READ_S):
        while True:
            with suppress(Refused):
                if (found := await client.generation(generation))["status"] != "running":
                    return found
            await asyncio.sleep(_COME_BACK_S)
