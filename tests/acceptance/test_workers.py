"""Several processes on one port: they serve as one, and the death of one is made good."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.client import Client, client_of
from tests.harness.instances import Cluster, cluster_of
from tests.harness.postgres import Postgres
from tests.harness.processes import Process, on_postgres, running, server
from tests.harness.readers import TRANSPORTS, Moment, Transport, read_through, read_whole
from tests.harness.received import Received

_WORKERS = 2
_ANSWERS = 12

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> AsyncIterator[Cluster]:
    settings = {"server.workers": _WORKERS, "ollama.slots": _WORKERS * _ANSWERS}
    folder = tmp_path_factory.mktemp("workers")
    model = ("--rate", "60", "--parallel", str(_ANSWERS))
    async with cluster_of(folder, postgres, 1, settings, model) as cluster:
        yield cluster
        (process,) = cluster.servers
        assert await process.terminate() == 0


@pytest.fixture
def client(cluster: Cluster) -> Client:
    return cluster.clients[0]


@pytest.fixture
def parent(cluster: Cluster) -> Process:
    return cluster.servers[0]


def _said(parent: Process, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in parent.lines if f'"event": "{event}"' in line]
    return [line for line in lines if line["event"] == event]


async def _figure(client: Client, name: str) -> float:
    """Sum a figure over its labels, as it is told now."""
    families = text_string_to_metric_families((await client.http.get("/metrics")).text)
    return sum(one.value for family in families for one in family.samples if one.name == name)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_answer_is_read_through_whichever_process_takes_the_connection(
    client: Client, transport: Transport
) -> None:
    generations = [await client.ask("Tell me of the sea. [[tokens=20]]") for _ in range(4)]
    for received in [await read_whole(client, generation, transport) for generation in generations]:
        assert received.resets == []


async def test_figures_are_those_of_all(client: Client) -> None:
    assert await _figure(client, "chatserver_workers") == _WORKERS
    before = await _figure(client, "chatserver_generations_accepted_total")
    generations = [await client.hand_in("Hello [[tokens=2]]") for _ in range(20)]
    for generation in generations:
        await read_whole(client, generation)
    for _ in range(5):
        assert await _figure(client, "chatserver_generations_accepted_total") == before + 20
    assert await _figure(client, "process_resident_memory_bytes") > _WORKERS * 30_000_000


async def test_a_log_line_tells_which_process_it_is_of(parent: Process) -> None:
    assert {line["worker"] for line in _said(parent, "ended")} <= set(range(1, _WORKERS + 1))
    assert [line["worker"] for line in _said(parent, "worker_ready")] == [1, 2]
    (serving,) = _said(parent, "serving")
    assert serving["workers"] == _WORKERS


async def test_one_that_is_killed_comes_back_and_its_answers_go_on(client: Client, parent: Process) -> None:
    accepted = await _figure(client, "chatserver_generations_accepted_total")
    asking = [client.hand_in("Tell me of the sea. [[tokens=150]]") for _ in range(_ANSWERS)]
    readings = [Received(generation) for generation in await asyncio.gather(*asking)]
    begun = Moment(lambda: all(received.answer for received in readings))
    async with asyncio.TaskGroup() as tasks:
        for received in readings:
            tasks.create_task(read_through(client, received, cycle(TRANSPORTS), begun.look))
        await begun.wait()
        assert await _figure(client, "chatserver_generations_accepted_total") == accepted + _ANSWERS
        _kill_one(parent)
        await parent.said("worker_ended")
    assert [received.end["reason"] for received in readings if received.end] == ["completed"] * _ANSWERS
    await parent.said("worker_ready", _WORKERS + 1)
    assert await _figure(client, "chatserver_workers") == _WORKERS
    assert await _figure(client, "chatserver_workers_restarted_total") == 1
    # What the dead one had counted still counts, and once.
    assert await _figure(client, "chatserver_generations_accepted_total") == accepted + _ANSWERS


def _kill_one(parent: Process) -> None:
    pid = _said(parent, "worker_ready")[-1]["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)


async def test_what_keeps_it_from_starting_is_said_once(tmp_path, postgres: Postgres) -> None:
    given = {
        **on_postgres(postgres.address(postgres.create())),
        "store.redis_url": "redis://127.0.0.1:1",
        "server.workers": _WORKERS,
    }
    process = server(tmp_path, "http://127.0.0.1:1", given)
    await process.launch()
    assert await process.wait() == 2
    assert [line for line in process.lines if "Redis" in line] == process.lines
    assert len(process.lines) == 1


def _alone(tmp_path: Path, postgres: Postgres, cluster: Cluster) -> Process:
    given = {
        **on_postgres(postgres.address(postgres.create())),
        "store.redis_url": cluster.redis.url,
        "server.workers": _WORKERS,
        "server.grace_s": 2,
    }
    return server(tmp_path, cluster.simulator.url, given)


async def test_without_their_parent_none_stays(tmp_path, postgres: Postgres, cluster: Cluster) -> None:
    async with running(_alone(tmp_path, postgres, cluster)) as process:
        # It waits for the end of their output as well.
        await process.kill()
        assert len(_said(process, "parent_gone")) == _WORKERS


async def test_told_twice_to_stop_they_end_in_order_nonetheless(
    tmp_path, postgres: Postgres, cluster: Cluster
) -> None:
    async with running(_alone(tmp_path, postgres, cluster)) as process, client_of(process.url) as client:
        for _ in range(_ANSWERS):
            await client.hand_in("Tell me of the sea. [[tokens=1000]]")
        for _ in range(2):
            process.signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert process.complaints == []
