"""Readers that are cut at random moments, hundreds of times, and go on over whatever transport comes next."""

import asyncio
import random

import pytest

from tests.harness.client import Client
from tests.harness.readers import TRANSPORTS, Transport, read, read_briefly
from tests.harness.received import Received
from tests.harness.service import module_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

_READERS = 25
_CUTS_EACH = 12
_LONGEST_S = 0.3
service = module_service({"ollama.slots": _READERS}, "--rate", "60", "--parallel", str(_READERS))


async def test_after_three_hundred_cuts_nothing_is_lost_or_read_twice(
    client: Client, rng: random.Random
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(_READERS):
            group.create_task(_wander(client, number, random.Random(rng.random())))


async def _wander(client: Client, number: int, rng: random.Random) -> None:
    """Read answers, be cut, and go on elsewhere, until it was cut often enough."""
    cuts = 0
    while cuts < _CUTS_EACH:
        received = Received(await client.ask(f"Number {number}, {cuts}. [[tokens=180]]"))
        while received.end is None and cuts < _CUTS_EACH:
            await read_briefly(client, received, _any(rng), rng.uniform(0, _LONGEST_S))
            cuts += received.end is None
        if received.end is None:
            await read(client, received, _any(rng))
        # Received has seen that no position came twice, and that the hash is that of its text.
        assert received.resets == []
        assert received.end is not None
        assert (await client.generation(received.generation))["result"] == received.answer


def _any(rng: random.Random) -> Transport:
    return rng.choice(TRANSPORTS)
