"""What hundreds of answers that go wrong, and readers that go away, leave behind: nothing."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from itertools import cycle, product

import pytest

from chatserver.upstream.simulator.faults import FAULTS
from loadtests.holdings import inspecting
from tests.harness.asking import WAYS, Until, never
from tests.harness.client import Client, visitor_of
from tests.harness.service import Service, module_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

_RUNS = 500
#: Before them, so that everything is there which is made when it is first needed.
_WARM_UP = 60
_AT_ONCE = 40
_SILENCE_S = 0.3
#: In place of a reason, where the end wasn't waited for.
_LEFT = "left"

service = module_service(
    {
        "ollama.slots": 16,
        "ollama.first_token_timeout_s": _SILENCE_S,
        "ollama.stall_timeout_s": _SILENCE_S,
        "generation.max_text_bytes": 4096,
        # Its connection to the file is opened when it is first needed.
        "store.readers": 1,
    },
    "--rate",
    "2000",
    "--parallel",
    "16",
)


async def test_after_five_hundred_faulty_runs_nothing_is_left(
    service: Service, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    async with inspecting(service.url, service.server.pid) as inspector:
        # One by one, so that what has to be known of the model is asked over the connections that are there.
        await _run(service, rng, len(WAYS), at_once=1)
        await _run(service, rng, _WARM_UP)
        before = await inspector.at_rest()
        connections = (await service.seen(in_flight=0))["connections"]
        reasons = await _run(service, rng, _RUNS)
        after = await inspector.settled(before)
    record_property("ends", dict(reasons))
    record_property("MiB more", round((after.memory - before.memory) / 2**20, 1))
    assert after.beyond(before) == {}
    assert (await service.seen(in_flight=0))["connections"] <= connections
    assert reasons.total() == _RUNS
    assert reasons.keys() == {"upstream_error", "upstream_truncated", "length", _LEFT}


async def _run(service: Service, rng: random.Random, count: int, at_once: int = _AT_ONCE) -> Counter[str]:
    """Ask so often, for every fault over every way in turn; gives the reasons of the ends that were read."""
    runs = zip(cycle(product([*FAULTS, "nonsense"], WAYS.values())), range(count), strict=False)
    reasons: Counter[str] = Counter()

    async def work_off(client: Client) -> None:
        # All of them take from the same runs.
        for (fault, way), _ in runs:
            received = await way(client, f"[[tokens=40]] [[fault={fault}]]", _patience(rng))
            reasons[received.end["reason"] if received.end else _LEFT] += 1

    async with visitor_of(service.url) as client, asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work_off(client))
    return reasons


def _patience(rng: random.Random) -> Until:
    """Most read to the end; one in three leaves after some frames, if so many come."""
    if rng.random() > 1 / 3:
        return never
    enough = rng.randrange(1, 4)
    return lambda received: received.taken >= enough
