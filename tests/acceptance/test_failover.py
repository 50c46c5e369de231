"""Several model servers: before its first token an answer goes to another one, and never afterwards."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.harness.client import Client, client_of
from tests.harness.processes import Process, running, server, simulator, simulator_stats
from tests.harness.readers import read_whole
from tests.harness.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

_LONGEST_S = 1.0
SETTINGS = {
    "server.grace_s": 1,
    "ollama.slots": 2,
    "ollama.model": "sim-chat",
    "ollama.first_token_timeout_s": 0.4,
    "generation.max_duration_s": _LONGEST_S,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Two model servers; the first is the one that is asked while both are idle."""
    async with running(simulator("--rate", "100")) as first, running(simulator("--rate", "100")) as second:
        urls = f"{first.url},{second.url}"
        data = tmp_path_factory.mktemp("data")
        async with running(server(data, urls, SETTINGS)) as process, client_of(process.url) as client:
            yield Service(process, [first, second], client)
            assert process.complaints == []


@pytest.fixture
def client(service: Service) -> Client:
    return service.client


async def _break(process: Process, *faults: str) -> None:
    async with httpx.AsyncClient(base_url=process.url, trust_env=False) as http:
        assert (await http.put("/_sim/faults", json=faults)).is_success


async def _asked(process: Process) -> int:
    return int((await simulator_stats(process.url))["requests"].get("/api/chat", 0))


@pytest.mark.parametrize("lane", ["interactive", "background"])
@pytest.mark.parametrize("fault", ["refuse", "status-500", "status-503", "slow-first-token"])
async def test_before_the_first_token_another_server_is_asked_at_once(
    service: Service, client: Client, fault: str, lane: str
) -> None:
    first, second = service.simulators
    asked = await _asked(second)
    await _break(first, fault)
    received = await read_whole(client, await client.hand_in("Hi. [[tokens=5]]", priority=lane))
    await _break(first)

    assert received.end is not None
    assert (received.end["reason"], received.resets, received.taken > 2) == ("completed", [], True)
    assert (await client.generation(received.generation))["attempts"] == 1
    assert await _asked(second) == asked + 1
    # A server that was found gone is asked again as soon as it has been seen to answer.
    await client.call("GET", "/models")


async def test_after_the_first_token_it_is_not(service: Service, client: Client) -> None:
    first, second = service.simulators
    await _break(first, "cut")
    await _break(second, "cut")
    before = await _asked(first) + await _asked(second)
    received = await read_whole(client, await client.ask("Hi. [[tokens=20]]"))
    await _break(first)
    await _break(second)

    assert received.end is not None
    assert received.answer
    assert received.end["reason"] == "upstream_truncated"
    assert await _asked(first) + await _asked(second) == before + 1


async def test_an_answer_is_ended_after_the_longest_run_time(client: Client) -> None:
    received = await read_whole(client, await client.ask("Hi. [[fault=endless]]"))
    assert received.end is not None
    assert (received.end["reason"], received.end["error"]) == ("length", None)
    timings = (await client.generation(received.generation))["timings"]
    assert timings["total_ms"] >= 1000 * _LONGEST_S


async def test_answers_are_spread_over_the_servers(service: Service, client: Client) -> None:
    before = [await _asked(one) for one in service.simulators]
    generations = [await client.ask(f"{n} [[tokens=30]]") for n in range(4)]
    for generation in generations:
        await read_whole(client, generation)
    after = [await _asked(one) for one in service.simulators]
    assert [now - then for then, now in zip(before, after, strict=True)] == [2, 2]


async def test_a_dead_server_is_left_out_and_without_any_the_answer_says_so(
    service: Service, client: Client
) -> None:
    first, second = service.simulators
    await first.kill()
    received = await read_whole(client, await client.ask("Hi. [[tokens=5]]"))
    assert received.end is not None
    assert received.end["reason"] == "completed"
    await second.kill()
    received = await read_whole(client, await client.ask("Hi. [[tokens=5]]"))
    assert received.end is not None
    assert (received.end["reason"], received.end["error"]["code"]) == ("upstream_error", "unreachable")
