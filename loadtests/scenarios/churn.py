"""Does anything grow while people come and go for ten minutes?

Two dozen at a time connect, send, reload, cancel, stall and drop over all transports. Memory, tasks and
descriptors have to be flat by fitted line, and in the end nothing is left of anybody.
"""  # noqa: D400 - it is a question

import random
from collections.abc import Sequence

from loadtests.churn import Churned, churn
from loadtests.measures import Bars, Figure, Plan, Result, at_most
from loadtests.servers import OURS, service

#: Once is enough, of its length.
PAIRS = 1
SECONDS = 600
#: Seconds until all is as large as it gets: limits remember a minute, and garbage is collected rarely.
WARM_UP_S = 120
#: Bytes of memory a visit; the least thing that could stay of one is more.
MOST_BYTES = 512
#: Growth of the rest, in percent of what is held on average: by chance there is more of it at times.
MOST_SHARE = 25

_COUNTED = ("tasks", "sockets", "files")
#: Fewer than come at once, so that some wait.
_SLOTS = 12
_SETTINGS = {"ollama.slots": _SLOTS, "generation.keep_finished_s": 10, "store.readers": 1}
#: Tokens a second of each answer: some end at once, some while their readers come and go.
_RATE = 1_000
_MIB = 2**20


async def run(plan: Plan) -> Result:
    found: list[Churned] = []
    for number in range(1, plan.pairs + 1):
        async with service(plan.seed, _RATE, _SETTINGS) as on:
            rng = random.Random(plan.seed + number)
            found.append(await churn(f"http://{on.address}", on.pids[OURS], rng, SECONDS, _SLOTS))
        plan.tell(f"  round {number} of {plan.pairs}: {_said(found[-1])}")
    return evaluate(found)


def _said(churned: Churned) -> str:
    return f"{churned.visits.total()} visits, {_bytes_each(churned):.0f} bytes more each"


def _bytes_each(churned: Churned) -> float:
    return churned.growth("memory", WARM_UP_S) / churned.visits_from(WARM_UP_S)


def _share(churned: Churned, name: str) -> float:
    return 100 * churned.growth(name, WARM_UP_S) / churned.mean(name, WARM_UP_S)


def evaluate(found: Sequence[Churned]) -> Result:
    figures = {
        "visits": Figure("", [one.visits.total() for one in found]),
        "memory a visit": Figure("bytes", [_bytes_each(one) for one in found]),
        **{f"growth of {name}": Figure("%", [_share(one, name) for one in found]) for name in _COUNTED},
        "things left": Figure("", [sum(one.left.values()) for one in found]),
    }
    requirements = [
        at_most("growth of memory", MOST_BYTES, figures["memory a visit"].high, "bytes a visit"),
        *(
            at_most(f"growth of {name}", MOST_SHARE, figures[f"growth of {name}"].high, "%")
            for name in _COUNTED
        ),
        at_most("tasks, sockets, files, readers and slots left", 0, figures["things left"].high, "of them"),
    ]
    return Result(requirements, figures, [_course(found[-1])], _notes(found[-1]))


def _course(churned: Churned) -> Bars:
    """Show the memory of each minute."""
    minutes: dict[str, list[float]] = {}
    for look in churned.looks:
        minutes.setdefault(f"minute {int(look.at // 60) + 1}", []).append(look.held.memory / _MIB)
    return Bars("Memory", {name: Figure("MiB", values) for name, values in minutes.items()})


def _notes(churned: Churned) -> list[str]:
    kinds = ", ".join(f"{count} x {kind}" for kind, count in churned.visits.most_common())
    return [
        f"{SECONDS} s, the first {WARM_UP_S} of which don't count; visits: {kinds}.",
        "Growth is that of the fitted line, in percent of the mean; what is left was counted in the end.",
        "Every answer that was read to its end was checked by its hash.",
    ]
