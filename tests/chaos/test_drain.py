"""A server that is told to stop: it refuses new work, lets readers finish, and leaves the rest for later."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import httpx
import orjson
import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.client import Client, Refused, visitor_of
from tests.harness.processes import running, server, simulator
from tests.harness.readers import (
    TRANSPORTS,
    Moment,
    Transport,
    by_longpoll,
    by_sse,
    by_websocket,
    read,
    read_through,
    read_whole,
)
from tests.harness.received import Frame, Received
from tests.harness.service import Service
from tests.harness.websocket import Socket, socket

_EACH = 50
_GRACE_S = 6.0
#: Tokens a second: more would keep those busy who poll for each.
_RATE = 10
#: Tokens for less time than the grace, and for more.
_SHORT, _LONG = 20, 80

#: What a connection ends with that isn't the answer's end: a close code, a body that ends as it should, or,
#: for those who poll, that after their last answer nobody is there.
_RESTART, _PLAIN_END, _NOBODY_THERE = 1012, "a plain end", "nobody there"
_CUT: Mapping[Transport, object] = {
    by_websocket: _RESTART,
    by_sse: _PLAIN_END,
    by_longpoll: _NOBODY_THERE,
}


@asynccontextmanager
async def _service(data_dir: Path, **settings: object) -> AsyncIterator[Service]:
    """Run a server that the test itself brings to its end."""
    slots = 2 * _EACH + 1
    given: Mapping[str, object] = {"server.grace_s": _GRACE_S, "ollama.slots": slots, **settings}
    async with (
        running(simulator("--rate", str(_RATE), "--parallel", str(slots))) as model_server,
        running(server(data_dir, model_server.url, given)) as process,
        visitor_of(process.url) as client,
    ):
        yield Service(process, [model_server], client)


@dataclass(frozen=True)
class _Reading:
    """One who reads over one connection as long as that goes on."""

    received: Received
    transport: Transport
    #: When all that were asked for together have something to read.
    begun: Moment
    #: Gives what the connection ended with.
    task: asyncio.Task[object]


async def test_short_answers_reach_their_end_and_long_ones_go_on_after_the_next_start(
    tmp_path: Path, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    async with _service(tmp_path) as service, asyncio.TaskGroup() as group:
        client = service.client
        silent = await client.ask("[[fault=slow-first-token]]")
        await service.seen(in_flight=1)
        long = await _begin(client, group, _LONG)
        await long[0].begun.wait()
        waiting = group.create_task(_poll_in_vain(client, silent))
        # Asked for last, so that they are still being made when the server is told to stop.
        short = await _begin(client, group, _SHORT)
        told = time.monotonic()
        refused = await _stop(service, follow=silent)
        stopped = time.monotonic() - told
        record_property("seconds until it had stopped", round(stopped, 1))
        record_property("running before, refused meanwhile", (_running(service), refused))
        assert stopped <= _GRACE_S
        assert _running(service) > len(long) + 1
        assert refused > 0
        assert {await reading.task for reading in short} == {"end"}
        assert [await reading.task for reading in long] == [_CUT[reading.transport] for reading in long]
        # A poll that had nothing to tell was answered.
        assert await waiting == []

        await _quicken(service)
        await service.server.restart()
        for reading in long:
            ways = cycle(rng.sample(TRANSPORTS, len(TRANSPORTS)))
            group.create_task(read_through(client, reading.received, ways))
    for received in (reading.received for reading in (*short, *long)):
        assert received.end is not None
        assert received.end["reason"] == "completed"


async def _begin(client: Client, group: asyncio.TaskGroup, tokens: int) -> list[_Reading]:
    """Ask for answers of so many tokens, and have them read over all transports."""
    asking = (client.hand_in(f"Number {number}. [[tokens={tokens}]]") for number in range(_EACH))
    answers = [Received(generation) for generation in await asyncio.gather(*asking)]
    begun = Moment(lambda: all(received.taken for received in answers))
    return [
        _Reading(
            received, transport, begun, group.create_task(_read_once(client, received, transport, begun))
        )
        for received, transport in zip(answers, cycle(_CUT), strict=False)
    ]


async def _stop(service: Service, follow: str) -> int:
    """Tell the server to stop and wait until it has; gives how often it refused new work meanwhile."""
    client = service.client
    conversation = await client.begin()
    async with socket(service.url, cookies=client.cookies) as opened:
        # One that follows nothing would be told to go at once.
        await opened.ask("subscribe", generation=follow)
        service.server.signal(signal.SIGTERM)
        refused = await _refused_until_the_end(client, conversation, opened)
    assert await service.server.wait() == 0
    return refused


def _running(service: Service) -> int:
    """Tell how many answers were being made when the server was told to stop."""
    (line,) = (line for line in service.server.lines if '"draining"' in line)
    return int(orjson.loads(line)["running"])


async def _quicken(service: Service) -> None:
    """Have all answers made at once from now on."""
    (model_server,) = service.simulators
    model_server.arguments[model_server.arguments.index("--rate") + 1] = "10000"
    await model_server.restart()


async def _read_once(client: Client, received: Received, transport: Transport, begun: Moment) -> object:
    """Read over one connection; tell what it ended with."""
    try:
        await read(client, received, transport, begun.look)
    except ConnectionClosed as closed:
        return closed.rcvd and closed.rcvd.code
    except httpx.TransportError:
        return _NOBODY_THERE
    return "end" if received.end else _PLAIN_END


async def _poll_in_vain(client: Client, generation: str) -> list[Frame]:
    """Wait for news of an answer in which nothing happens."""
    path = f"/generations/{generation}/events"
    begun = await client.call("GET", f"{path}?wait=30")
    answer = await client.call("GET", f"{path}?wait=30&after={begun['after']}")
    assert (answer["after"], answer["ended"]) == (begun["after"], False)
    return list(answer["events"])


async def _refused_until_the_end(client: Client, conversation: str, opened: Socket) -> int:
    """Try new work again and again, as soon as the server isn't ready; gives how often it was refused."""
    await _draining(client)
    refused = 0
    # In the end the connections go with the process.
    with suppress(httpx.TransportError, ConnectionClosed):
        while True:
            with pytest.raises(Refused) as refusal:
                await client.hand_in("More?")
            assert (refusal.value.problem["status"], refusal.value.problem["code"]) == (503, "draining")
            assert (await client.http.get("/health/ready")).status_code == 503
            answer = await opened.ask("send", conversation=conversation, content="More?")
            assert (answer["type"], answer["code"]) == ("error", "draining")
            refused += 1
    return refused


async def _draining(client: Client) -> None:
    """Wait until the server knows that it was told to stop."""
    while (await client.http.get("/health/ready")).status_code != 503:
        pass


async def test_a_second_signal_is_quicker_and_loses_nothing(tmp_path: Path) -> None:
    async with _service(tmp_path, **{"server.grace_s": 30}) as service:
        client = service.client
        generation = await client.hand_in(f"[[tokens={_LONG}]]")
        await service.seen(in_flight=1)
        told = time.monotonic()
        service.server.signal(signal.SIGTERM)
        # Sent at once, the two would be one.
        await _draining(client)
        service.server.signal(signal.SIGTERM)
        assert await service.server.wait() == 0
        assert time.monotonic() - told < _LONG / _RATE / 2
        await _quicken(service)
        await service.server.restart()
        received = await read_whole(client, generation)
        assert received.end is not None
        assert received.end["reason"] == "completed"
