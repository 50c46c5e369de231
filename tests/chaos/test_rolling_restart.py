"""All instances are restarted in turn, behind a proxy and under many answers: nobody sees an error."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, cycle
from pathlib import Path

import httpx
import pytest

from tests.harness.client import Client, Refused, visitor_of
from tests.harness.front import Front, haproxy, nginx
from tests.harness.instances import Cluster, cluster_of
from tests.harness.postgres import Postgres
from tests.harness.readers import (
    LATER,
    Moment,
    Transport,
    by_longpoll,
    by_sse,
    by_websocket,
    read_through,
    read_whole,
)
from tests.harness.received import Received

_ANSWERS = 200
#: Tokens a second and in all: an answer takes longer than a restart.
_RATE, _TOKENS = 4, 48
#: Seconds that all of it may take.
_WHOLE_S = 120
#: Seconds between two questions of who goes on asking.
_PAUSE_S = 0.1
#: Who polls asks once a token, so fewer do.
_TRANSPORTS: tuple[Transport, ...] = (by_sse, by_websocket, by_sse, by_websocket, by_longpoll)

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(("front", "sticky"), [(nginx, False), (haproxy, True)])
async def test_a_rolling_restart_loses_and_doubles_nothing(
    tmp_path: Path,
    postgres: Postgres,
    front: Front,
    *,
    sticky: bool,
    record_property: Callable[[str, object], None],
) -> None:
    settings = {
        "ollama.slots": 2 * _ANSWERS,
        "server.trusted_proxies": "127.0.0.1",
        # Nobody is to be taken for dead here, however busy.
        "store.lease_s": 10,
    }
    model = ("--rate", str(_RATE), "--parallel", str(2 * _ANSWERS))
    async with (
        cluster_of(tmp_path, postgres, 2, settings, model) as cluster,
        front(tmp_path, [server.url for server in cluster.servers], sticky) as url,
        visitor_of(url) as client,
    ):
        await _known_to_go_on(cluster)
        asking = [client.hand_in(f"Number {number}. [[tokens={_TOKENS}]]") for number in range(_ANSWERS)]
        readings = [Received(generation) for generation in await asyncio.gather(*asking)]
        begun = Moment(lambda: all(received.answer for received in readings))
        restarted = asyncio.Event()
        async with asyncio.timeout(_WHOLE_S), asyncio.TaskGroup() as tasks:
            for number, received in enumerate(readings):
                ways = _ways(number)
                tasks.create_task(
                    read_through(client, received, ways, begun.look, _WHOLE_S), name=f"reader {number}"
                )
            await begun.wait()
            person = tasks.create_task(_ask_on(client, restarted), name="asks on")
            for server in cluster.servers:
                record_property("unfinished", sum(received.end is None for received in readings))
                assert await server.terminate() == 0
                await server.restart()
            restarted.set()
        record_property("asked meanwhile", len(await person))
        assert [received.resets for received in readings if received.resets] == []
        assert {received.end["reason"] for received in readings if received.end} == {"completed"}
        await _asked_once(client, await person)
        for server in cluster.servers:
            assert server.complaints == []


def _ways(number: int) -> Iterator[Transport]:
    """Begin with one that differs from the next reader's, and change after each loss."""
    return cycle(_TRANSPORTS[number % len(_TRANSPORTS) :] + _TRANSPORTS[: number % len(_TRANSPORTS)])


async def _known_to_go_on(cluster: Cluster) -> None:
    """Have an answer made, and wait until it is known that its model goes on with a beginning."""
    await read_whole(cluster.clients[0], await cluster.clients[0].hand_in("Hello [[tokens=1]]"))
    assert json.loads(await cluster.servers[0].said("template_probed"))["continues"]


async def _ask_on(client: Client, until: asyncio.Event) -> dict[str, str]:
    """Hand in work until told to stop, each with a key of its own; gives what it became by its key."""
    asked: dict[str, str] = {}
    for number in count():
        key = f"question-{number}"
        asked[key] = await _insist(client, key)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_S):
                await until.wait()
                return asked
    raise AssertionError


async def _insist(client: Client, key: str) -> str:
    """Hand in work, as often as it takes, and always as the same."""
    while True:
        try:
            return await client.hand_in(f"{key} [[tokens=1]]", key)
        except Refused as refused:
            if refused.problem["status"] not in LATER:
                raise
            await asyncio.sleep(refused.problem["retry_after"])
        except httpx.TransportError:
            await asyncio.sleep(_PAUSE_S)


async def _asked_once(client: Client, asked: dict[str, str]) -> None:
    for key, generation in asked.items():
        assert await _insist(client, key) == generation
        received = await read_whole(client, generation)
        assert received.end is not None
        assert received.end["reason"] == "completed"
    assert await _count(client) == _ANSWERS + len(set(asked.values())) == _ANSWERS + len(asked)


async def _count(client: Client) -> int:
    """Count all that was ever handed in."""
    found, cursor = 0, ""
    while True:
        page = await client.call("GET", f"/generations?limit=50{cursor}")
        found += len(page["items"])
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"
