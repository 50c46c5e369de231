"""What does an event cost through our own SSE response, and what through sse-starlette's?

A hundred readers, each with a log of its own that grows by a hundred tokens a second in the same process:
nothing is measured but logs, cursors, encoding, the response and uvicorn.
"""  # noqa: D400 - it is a question

from collections.abc import Mapping, Sequence

from loadtests.event_streams import OURS, STARLETTE_BYTES, STARLETTE_EVENTS, path_of
from loadtests.load import Job, Outcome, put_load, request
from loadtests.measures import Bars, Figure, Plan, Result, at_most, ratios
from loadtests.processes import serving

STREAMS = 100
#: Tokens a second of each stream, and tokens in all: together a second for each run.
RATE = 100
TOKENS = 100
_DEADLINE_S = 20

_SERVER = "server"


async def run(plan: Plan) -> Result:
    outcomes: dict[str, list[Outcome]] = {OURS: [], STARLETTE_BYTES: [], STARLETTE_EVENTS: []}
    async with serving("loadtests.event_streams", str(RATE), str(TOKENS)) as (server, address):
        for number in range(1, plan.pairs + 1):
            for name, found in outcomes.items():
                found.append(await put_load(_job(name, address), {_SERVER: server.pid}))
                cost = found[-1].cpu_us_per_token(_SERVER)
                plan.tell(f"  round {number} of {plan.pairs}, {name}: {cost:.1f} µs of processor an event")
    return evaluate(outcomes)


def _job(name: str, address: str) -> Job:
    host, _, port = address.partition(":")
    requests = [request(path_of(name), address, {}, accept="text/event-stream")] * STREAMS
    return Job(host, int(port), requests, "\n\n", _DEADLINE_S)


def evaluate(outcomes: Mapping[str, Sequence[Outcome]]) -> Result:
    costs = {
        name: Figure("µs", [one.cpu_us_per_token(_SERVER) for one in rounds])
        for name, rounds in outcomes.items()
    }
    against_ours = {
        f"{name}, against ours": Figure("x", ratios(figure.values, costs[OURS].values))
        for name, figure in costs.items()
        if name != OURS
    }
    least = min(figure.median for figure in against_ours.values())
    return Result(
        # A response of our own is only worth its lines while it costs less.
        [at_most("our own response, against the cheaper use of sse-starlette", 1, 1 / least, "x")],
        {**{f"an event, {name}": figure for name, figure in costs.items()}, **against_ours},
        [Bars("Processor per event", costs)],
        [
            f"{STREAMS} streams of {TOKENS} tokens at {RATE} a second, each an event of its own.",
            "The figures hold all that the serving process does, filling the logs as well.",
            "sse-starlette has its pings off; its watcher for the server's end can't be.",
        ],
    )
