"""Does a token cost the same over each transport?

A hundred people watch their answers at fifty tokens a second, some of them as server-sent events and then as
many over a WebSocket each: what the serving process does for a token in all, accepting the turn as well.
"""  # noqa: D400 - it is a question

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.bench import Bench, Demand, bench
from loadtests.measures import Bars, Figure, Plan, Result, at_most, ratios
from loadtests.processes import stopwatch
from loadtests.servers import OURS
from loadtests.socket_client import SocketJob
from loadtests.sockets import messages, opened

EVENTS, SOCKETS = "server-sent events", "WebSocket"

#: Tokens a second of each stream. Asked for over a while: a burst is another scenario's question.
RATE = 50
DEMAND = Demand(streams=100, tokens=300, spread_s=1)
#: What a token may cost over a WebSocket, against events.
MOST = 1.25

_DEADLINE_S = DEMAND.tokens / RATE + 30
#: What the server has still to do when the last answer is over: seconds.
_SETTLE_S = 0.2


@dataclass(frozen=True)
class Cost:
    """Of one round over one transport."""

    cpu_us: float
    #: From leaving the simulator to arriving.
    delay_ms: float


async def run(plan: Plan) -> Result:
    costs: dict[str, list[Cost]] = {EVENTS: [], SOCKETS: []}
    ways = {EVENTS: _by_events, SOCKETS: _by_sockets}
    async with bench(plan.seed, RATE) as on:
        for way in ways.values():
            await way(on)
        for number in range(1, plan.pairs + 1):
            for name, way in ways.items():
                cost = await way(on)
                costs[name].append(cost)
                said = f"{cost.cpu_us:.1f} µs of processor a token, each {cost.delay_ms:.2f} ms on its way"
                plan.tell(f"  round {number} of {plan.pairs}, {name}: {said}")
    return evaluate(costs)


def evaluate(costs: Mapping[str, Sequence[Cost]]) -> Result:
    processor = {name: Figure("µs", [one.cpu_us for one in rounds]) for name, rounds in costs.items()}
    against = Figure("x", ratios(processor[SOCKETS].values, processor[EVENTS].values))
    return Result(
        [at_most("processor per token over a WebSocket, against events", MOST, against.median, "x")],
        {
            **{f"processor per token, {name}": figure for name, figure in processor.items()},
            "over a WebSocket, against events": against,
            **{f"on its way, {name}": Figure("ms", [one.delay_ms for one in costs[name]]) for name in costs},
        },
        [Bars("Processor per token", processor)],
        [f"{DEMAND.streams} streams of {DEMAND.tokens} tokens at {RATE} a second, each read by one."],
    )


async def _by_events(on: Bench) -> Cost:
    outcome = await on.measure(OURS, DEMAND)
    return Cost(outcome.cpu_us_per_token(OURS), outcome.delay_ms)


async def _by_sockets(on: Bench) -> Cost:
    address = on.ways[OURS].address
    host, _, port = address.partition(":")
    asked = await messages(address, DEMAND.questions())
    job = SocketJob(host, int(port), [host], DEMAND.streams, asked, DEMAND.spread_s, _DEADLINE_S)
    async with opened(job) as sockets:
        used = stopwatch(on.pids)
        ran = await sockets.stream()
        await asyncio.sleep(_SETTLE_S)
        delays = ran["delays_us"]
        return Cost(1e6 * used()[OURS] / len(delays), median(delays) / 1000)
