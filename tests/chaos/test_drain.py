"""A server that is told to stop: it refuses new work, lets readers finish, and leaves the rest for later."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.client import Client, Refused, visitor_of
from tests.harness.processes import running, server, simulator
from tests.harness.readers import TRANSPORTS, Moment, read, read_through, read_whole
from tests.harness.received import Received
from tests.harness.service import UNLIMITED, Service
from tests.harness.websocket import Socket, socket

_EACH = 30
_GRACE_S = 2.0
_RATE = 40
#: Half a second, and longer than the grace.
_SHORT, _LONG = 20, 160


@asynccontextmanager
async def _service(data_dir: Path, **settings: object) -> AsyncIterator[Service]:
    """Run a server that the test itself brings to its end."""
    slots = 2 * _EACH
    given: Mapping[str, object] = {"server.grace_s": _GRACE_S, "ollama.slots": slots, **UNLIMITED, **settings}
    async with (
        running(simulator("--rate", str(_RATE), "--parallel", str(slots))) as model_server,
        running(server(data_dir, model_server.url, given)) as process,
        visitor_of(process.url) as client,
    ):
        yield Service(process, [model_server], client)


async def test_short_answers_reach_their_end_and_long_ones_go_on_after_the_next_start(
    tmp_path: Path, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    async with _service(tmp_path) as service:
        client = service.client
        lengths = [_SHORT] * _EACH + [_LONG] * _EACH
        asked = await asyncio.gather(
            *(client.hand_in(f"{n} [[tokens={length}]]") for n, length in enumerate(lengths))
        )
        readings = [Received(generation) for generation in asked]
        begun = Moment(lambda: all(received.taken for received in readings[_EACH:]))
        ended: dict[str, float] = {}
        async with asyncio.TaskGroup() as group:
            for received, transport in zip(readings, cycle(TRANSPORTS), strict=False):
                ways = cycle([transport, *rng.sample(TRANSPORTS, len(TRANSPORTS))])

                async def follow(received: Received = received, ways=ways) -> None:
                    await read_through(client, received, ways, begun.look)
                    ended[received.generation] = time.monotonic()

                group.create_task(follow())
            await begun.wait()
            told = time.monotonic()
            service.server.signal(signal.SIGTERM)
            refused = await _refused_until_the_end(client, service)
            stopped = time.monotonic()
            assert await service.server.wait() == 0
            record_property("seconds until it had stopped", round(stopped - told, 1))
            assert stopped - told <= _GRACE_S + 3
            # The short ones were read to their end before it had.
            assert all(ended[received.generation] <= stopped for received in readings[:_EACH])
            assert all(received.end is None for received in readings[_EACH:])
            assert refused > 0
            await service.server.restart()
        for received in readings:
            assert received.end is not None
            assert received.end["reason"] == "completed"


async def _refused_until_the_end(client: Client, service: Service) -> int:
    """Try new work again and again; gives how often it was refused while the server still answered."""
    refused = 0
    # In the end the connections go with the process.
    with suppress(httpx.TransportError):
        while True:
            with pytest.raises(Refused) as refusal:
                await client.hand_in("More?")
            assert (refusal.value.problem["status"], refusal.value.problem["code"]) == (503, "draining")
            assert (await client.http.get("/health/ready")).status_code == 503
            refused += 1
    return refused


async def _draining(client: Client) -> None:
    """Wait until the server knows that it was told to stop."""
    while (await client.http.get("/health/ready")).status_code != 503:
        pass


async def test_who_still_reads_when_the_grace_is_over_is_told_to_go_elsewhere(tmp_path: Path) -> None:
    async with _service(tmp_path, **{"server.grace_s": 0.3}) as service:
        client = service.client
        generation = await client.hand_in(f"[[tokens={_LONG}]]")
        async with socket(service.url, cookies=client.cookies) as opened:
            await opened.ask("subscribe", generation=generation)
            by_sse, by_longpoll = Received(generation), Received(generation)
            reading = [
                asyncio.create_task(read(client, received, transport))
                for received, transport in ((by_sse, TRANSPORTS[0]), (by_longpoll, TRANSPORTS[1]))
            ]
            service.server.signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed):
                await _receive_for_ever(opened)
            assert opened.connection.close_code == 1012
            # The body of the events ends as it should; the poll is answered, and the next one finds nobody.
            assert (await reading[0]).end is None
            with pytest.raises(httpx.TransportError):
                await reading[1]
        assert await service.server.wait() == 0


async def _receive_for_ever(opened: Socket) -> None:
    while True:
        await opened.receive()


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
        assert time.monotonic() - told < 8
        await service.server.restart()
        received = await read_whole(client, generation)
        assert received.end is not None
        assert received.end["reason"] == "completed"
