"""Do a thousand readers of one answer on each of two instances cost Redis more than one?

One instance makes the answer, a thousand people read it there and a thousand through the other one. The log
goes to the other instance once, however many read it there.
"""  # noqa: D400 - it is a question

import asyncio
from dataclasses import dataclass

from loadtests.instances import ELSEWHERE, HERE, Instances, instances
from loadtests.load import Outcome
from loadtests.measures import Figure, Plan, Requirement, Result, at_most, ratios

RATE = 20
TOKENS = 200
READERS = 1_000
#: Commands with all the readers, against those with one: what the clock brings on differs from run to run.
MOST_RATIO = 1.1
_WARM_UP_TOKENS = 10


@dataclass(frozen=True)
class Round:
    outcomes: tuple[Outcome, ...]
    commands: int

    @property
    def complete(self) -> int:
        return sum(one.complete for one in self.outcomes)


async def run(plan: Plan) -> Result:
    one: list[Round] = []
    many: list[Round] = []
    async with instances(plan.seed, RATE) as on:
        await _measure(on, 1, _WARM_UP_TOKENS)
        for number in range(1, plan.pairs + 1):
            for readers, rounds in ((1, one), (READERS, many)):
                rounds.append(await _measure(on, readers, TOKENS))
                plan.tell(
                    f"  round {number} of {plan.pairs}, {readers} on each: {rounds[-1].complete} complete, "
                    f"{rounds[-1].commands} commands of Redis"
                )
    return _evaluate(one, many)


async def _measure(on: Instances, readers: int, tokens: int) -> Round:
    generations = await on.ask(HERE, 1, tokens)
    before = await on.commands()
    outcomes = await asyncio.gather(
        *(on.read(where, generations, tokens, readers) for where in (HERE, ELSEWHERE))
    )
    return Round(tuple(outcomes), await on.commands() - before)


def _evaluate(one: list[Round], many: list[Round]) -> Result:
    with_one, with_many = [found.commands for found in one], [found.commands for found in many]
    complete = min(found.complete for found in many)
    figures = {
        "commands of Redis, one reader on each": Figure("", with_one),
        "commands of Redis, all readers": Figure("", with_many),
        "commands of Redis, against one reader": Figure("x", ratios(with_many, with_one)),
    }
    wanted = 2 * READERS
    return Result(
        [
            Requirement("readers that got all of it", f"all {wanted}", str(complete), complete == wanted),
            at_most(
                "commands of Redis, against one reader",
                MOST_RATIO,
                figures["commands of Redis, against one reader"].median,
                "x",
            ),
        ],
        figures,
        notes=[f"One answer of {TOKENS} tokens at {RATE} a second, {READERS} readers on each instance."],
    )
