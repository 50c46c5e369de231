"""Is a turn accepted almost as fast as the disk can keep it?

Turns are sent evenly, fifty a second, and in bursts of a hundred, on a file and on a PostgreSQL that syncs.
The time from sending to the 202 is measured at the client, and beside it what a sync of a page takes there.
"""  # noqa: D400 - it is a question

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from loadtests.client import Stream, ask_all, connect
from loadtests.conversations import begin
from loadtests.load import LoadFailed, request
from loadtests.measures import Curves, Figure, Plan, Result, at_most, quantiles
from loadtests.processes import stopwatch
from loadtests.recording import status_of
from loadtests.servers import OURS, Service, service
from tests.harness.postgres import running_postgres
from tests.harness.processes import on_postgres

#: Turns a second, and for how many seconds; turns of a burst, and how many bursts.
RATE, SECONDS = 50, 10
BURST, BURSTS = 100, 5
#: Milliseconds beyond one sync that the middle turn may take.
MOST_MS, BURST_MOST_MS = 5, 40
_WARM_UP = 20
_SYNCS = 40
_PAGE = b"x" * 4096
_DEADLINE_S = 30
_STEADY, _BURSTS = f"{RATE} a second", f"bursts of {BURST}"


@dataclass(frozen=True)
class Round:
    """Milliseconds until each turn was accepted, and what one sync took beside them."""

    steady: Sequence[float]
    bursts: Sequence[float]
    sync: Sequence[float]
    #: Of processor, for a turn with its answer.
    processor_ms: float

    def beyond(self, milliseconds: Sequence[float]) -> float:
        return median(milliseconds) - median(self.sync)


async def run(plan: Plan) -> Result:
    found: dict[str, list[Round]] = defaultdict(list)
    for number in range(1, plan.pairs + 1):
        for name, opened in (("file", service(plan.seed, None)), ("PostgreSQL", _on_postgres(plan.seed))):
            async with opened as on:
                found[name].append(await _round(on))
            one = found[name][-1]
            plan.tell(
                f"  round {number} of {plan.pairs}, {name}: {median(one.steady):.1f} ms each, "
                f"{median(one.bursts):.1f} in bursts, one sync {median(one.sync):.1f}, "
                f"processor {one.processor_ms:.1f}"
            )
    return evaluate(found)


@asynccontextmanager
async def _on_postgres(seed: int) -> AsyncIterator[Service]:
    with running_postgres(durable=True) as postgres:
        async with service(seed, None, on_postgres(postgres.address(postgres.create()))) as on:
            yield on


async def _round(on: Service) -> Round:
    await _accepted(on, _WARM_UP, 0)
    sync = await asyncio.to_thread(_sync, on.folder)
    used = stopwatch(on.pids)
    steady = await _accepted(on, RATE * SECONDS, SECONDS)
    bursts = [ms for _ in range(BURSTS) for ms in await _accepted(on, BURST, 0)]
    processor_ms = 1000 * used()[OURS] / len([*steady, *bursts])
    return Round(steady, bursts, [*sync, *await asyncio.to_thread(_sync, on.folder)], processor_ms)


async def _accepted(on: Service, count: int, spread_s: float) -> list[float]:
    """Send so many turns, each in a conversation of its own; gives the milliseconds of each."""
    host, port = on.address.split(":")
    conversations = await begin(on.address, count)
    requests = [_turn(on.address, conversation).encode() for conversation in conversations]
    streams = await connect(host, int(port), count)
    await ask_all(streams, requests, _DEADLINE_S + spread_s, spread_s)
    refused = [stream.reads[:1] for stream in streams if not stream.reads or status_of(stream.reads) != 202]
    if refused:
        raise LoadFailed(f"{len(refused)} of {count} turns weren't accepted: {refused[0]}")
    return [_milliseconds(stream) for stream in streams]


def _turn(address: str, conversation: str) -> str:
    path = f"/api/v1/conversations/{conversation}/messages"
    return request(path, address, {"content": "What now? [[tokens=1]]"}, close=True)


def _milliseconds(stream: Stream) -> float:
    return (stream.reads[0][0] - stream.asked) / 1e6


def _sync(folder: Path) -> list[float]:
    """What it takes to append a page to a file and sync that."""
    taken = []
    with (folder / "beside").open("ab", buffering=0) as file:
        for _ in range(_SYNCS):
            begun = time.perf_counter()
            file.write(_PAGE)
            os.fsync(file.fileno())
            taken.append(1000 * (time.perf_counter() - begun))
    return taken


def evaluate(found: Mapping[str, Sequence[Round]]) -> Result:
    figures, requirements, samples = {}, [], {}
    for name, rounds in found.items():
        figures[f"{name}, one sync"] = Figure("ms", [median(one.sync) for one in rounds])
        # With beginning its conversation, which isn't timed.
        figures[f"{name}, processor a turn"] = Figure("ms", [one.processor_ms for one in rounds])
        for kind, bound in ((_STEADY, MOST_MS), (_BURSTS, BURST_MOST_MS)):
            each = [one.steady if kind == _STEADY else one.bursts for one in rounds]
            beyond = Figure("ms", [one.beyond(ms) for one, ms in zip(rounds, each, strict=True)])
            figures[f"{name}, {kind}, middle turn"] = Figure("ms", [median(ms) for ms in each])
            figures[f"{name}, {kind}, beyond one sync"] = beyond
            requirements.append(at_most(f"{name}, {kind}: beyond one sync", bound, beyond.median, "ms"))
            samples[f"{name}, {kind}"] = quantiles([one for ms in each for one in ms])
    return Result(requirements, figures, [Curves("Share of turns accepted within", "ms", samples)])
