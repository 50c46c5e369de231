"""Readers that stop reading, over every transport: soon gone, small while they last, harmful to nobody."""

import asyncio
import socket as sockets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
import pytest

from loadtests.holdings import inspecting
from loadtests.kernel_queues import Fates
from loadtests.memory import memory_bytes, peak_of
from tests.harness.client import Client
from tests.harness.raw import Raw, raw, raw_socket, request
from tests.harness.readers import TRANSPORTS, Transport, read_whole
from tests.harness.service import Service, module_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Stalled readers over each transport.
_EACH = 50
#: Tokens of what they ask for, and how often each asks: more than all buffers on its way hold.
_LONG, _TIMES = 4_000, 16
_WINDOW = 4096
#: Seconds from being full to being gone, and bytes of memory each.
_GONE_S = 15
_MOST_BYTES = 128 * 1024

service = module_service({"ollama.slots": 16, "store.readers": 1}, "--rate", "1000", "--parallel", "16")


def _narrow(plain: sockets.socket) -> None:
    plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, _WINDOW)


@asynccontextmanager
async def _over_websocket(client: Client, generation: str) -> AsyncIterator[Raw]:
    async with raw_socket(client.url, _narrow) as opened:
        for _ in range(_TIMES):
            opened.text(orjson.dumps({"type": "subscribe", "generation": generation}).decode())
        yield opened.raw


@asynccontextmanager
async def _over_http(client: Client, generation: str, accept: str) -> AsyncIterator[Raw]:
    async with raw(client.url, _narrow) as one:
        one.say(_TIMES * request("GET", f"/api/v1/generations/{generation}/events", f"accept: {accept}"))
        yield one


async def _stall(stack: AsyncExitStack, client: Client, generation: str) -> list[int]:
    """Have readers come over each transport and stop reading; gives their ports."""
    ports = []
    for _ in range(_EACH):
        for way in (
            _over_websocket(client, generation),
            _over_http(client, generation, "text/event-stream"),
            _over_http(client, generation, "application/json"),
        ):
            one = await stack.enter_async_context(way)
            await one.reader.read(100)
            one.writer.transport.pause_reading()  # type: ignore[attr-defined]
            ports.append(one.writer.get_extra_info("sockname")[1])
    return ports


async def test_readers_that_stop_reading_are_soon_gone_and_harm_nobody(
    service: Service, record_property: Callable[[str, object], None]
) -> None:
    client, pid = service.client, service.server.pid
    long = await client.hand_in(f"[[tokens={_LONG}]]")
    await read_whole(client, long)
    await asyncio.gather(*(_read_on(client, transport, lambda: True) for transport in TRANSPORTS))
    async with inspecting(service.url, pid) as inspector, AsyncExitStack() as stack:
        before = await inspector.at_rest()
        async with peak_of(pid) as peak:
            begun = memory_bytes(pid)
            fates = Fates(await _stall(stack, client, long))
            async with asyncio.TaskGroup() as group:
                reading = [
                    group.create_task(_read_on(client, transport, lambda: fates.all_gone))
                    for transport in TRANSPORTS
                ]
                await fates.look_on(int(service.url.rpartition(":")[2]))
        after = await inspector.settled(before)
    seconds = fates.seconds()
    grown = (peak.bytes - begun) / len(seconds)
    record_property("seconds from full to gone", (round(min(seconds), 1), round(max(seconds), 1)))
    record_property("KiB each", round(grown / 1024))
    record_property("answers read meanwhile", [task.result() for task in reading])
    assert len(seconds) == len(TRANSPORTS) * _EACH
    assert max(seconds) <= _GONE_S
    # All of them were full: the kernel took its time.
    assert min(seconds) > 1
    assert grown <= _MOST_BYTES
    assert after.beyond(before) == {}


async def _read_on(client: Client, transport: Transport, enough: Callable[[], bool]) -> int:
    """Read one answer after another while it is made, each to its end and in order; gives how many."""
    count = 0
    while not count or not enough():
        await read_whole(client, await client.ask("[[tokens=300]]"), transport)
        count += 1
    return count
