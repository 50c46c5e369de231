"""Does everything that was accepted outlive two hundred crashes?

Half of them on a file, half on PostgreSQL: people talk, and again and again the server is killed while it
answers, saves parts of answers and sums talks up. Each time all is looked through before the next start.
"""  # noqa: D400 - it is a question

import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from loadtests.crashes import Crashed, Kept, crash
from loadtests.measures import Figure, Plan, Result, at_least, at_most
from tests.harness.postgres import running_postgres
from tests.harness.processes import on_postgres

#: Once is enough.
PAIRS = 1
CRASHES = 200
#: Of all crashes, those that have to come while talks are summed up, in percent.
_MEANT = 10


async def run(plan: Plan) -> Result:
    found: dict[str, list[Crashed]] = {"file": [], "PostgreSQL": []}
    for number in range(1, plan.pairs + 1):
        rng = random.Random(plan.seed + number)
        with tempfile.TemporaryDirectory(prefix="loadtests-") as folder, running_postgres() as postgres:
            address = postgres.address(postgres.create())
            kept = {
                "file": Kept(Path(folder) / "a"),
                "PostgreSQL": Kept(Path(folder) / "b", address, on_postgres(address)),
            }
            for name, one in kept.items():
                plan.tell(f"  round {number} of {plan.pairs}, {name}")
                found[name].append(await crash(one, CRASHES // 2, rng, plan.tell))
    return evaluate(found)


def evaluate(found: Mapping[str, Sequence[Crashed]]) -> Result:
    figures = {}
    for name, rounds in found.items():
        for fact in ("crashes", "in_summaries", "in_answers", "accepted", "summaries"):
            figures[f"{name}, {fact.replace('_', ' ')}"] = Figure("", [getattr(one, fact) for one in rounds])
    every = [one for rounds in found.values() for one in rounds]
    faults = [fault for one in every for fault in one.faults]
    share = 100 * sum(one.in_summaries for one in every) / sum(one.crashes for one in every)
    return Result(
        [
            at_most("found lost, doubled or half-written", 0, len(faults), "times"),
            at_least("crashes while a talk was summed up", _MEANT, share, "%"),
        ],
        figures,
        notes=faults[:5],
    )
