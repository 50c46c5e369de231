"""What does it cost to read an answer through another instance than the one that makes it?

A hundred people read their answers at fifty tokens a second: through the instance that makes them, through
another one that shares Redis and PostgreSQL with it, and through a server that is alone.
"""  # noqa: D400 - it is a question

from collections.abc import Mapping, Sequence
from statistics import median

from loadtests.instances import ALONE, ELSEWHERE, HERE, REDIS, Instances, instances
from loadtests.load import Outcome
from loadtests.measures import Curves, Figure, Plan, Result, at_most, at_share, quantiles, ratios

RATE = 50
ANSWERS, TOKENS = 100, 200
_WARM_UP_TOKENS = 20
#: Milliseconds by which the middle token and the slowest hundredth may come later, and what sharing may cost.
MIDDLE_MS, SLOWEST_MS, MOST_RATIO = 8, 25, 1.5

#: Where it is asked, and where it is read.
_WAYS = {HERE: (HERE, HERE), ELSEWHERE: (HERE, ELSEWHERE), ALONE: (ALONE, ALONE)}

Outcomes = Mapping[str, Sequence[Outcome]]


async def run(plan: Plan) -> Result:
    outcomes: dict[str, list[Outcome]] = {way: [] for way in _WAYS}
    async with instances(plan.seed, RATE) as on:
        for way in outcomes:
            await _measure(on, way, _WARM_UP_TOKENS)
        for number in range(1, plan.pairs + 1):
            for way, found in outcomes.items():
                found.append(await _measure(on, way, TOKENS))
                plan.tell(f"  round {number} of {plan.pairs}, {way}: {_said(way, found[-1])}")
    return evaluate(outcomes)


async def _measure(on: Instances, way: str, tokens: int) -> Outcome:
    asked, read = _WAYS[way]
    return await on.read(read, await on.ask(asked, ANSWERS, tokens), tokens)


def _said(way: str, outcome: Outcome) -> str:
    owner, _ = _WAYS[way]
    return (
        f"the middle token after {_at(outcome, 0.5):.1f} ms, 99 % within {_at(outcome, 0.99):.1f} ms, "
        f"{outcome.cpu_us_per_token(owner):.0f} µs of processor a token where it is made "
        f"(others: {outcome.others:.1f} cores)"
    )


def evaluate(outcomes: Outcomes) -> Result:
    here, elsewhere, alone = (outcomes[way] for way in (HERE, ELSEWHERE, ALONE))
    later = {share: _later(elsewhere, here, share) for share in (0.5, 0.99)}
    costs = [one.cpu_us_per_token(HERE) for one in here]
    costs_alone = [one.cpu_us_per_token(ALONE) for one in alone]
    against_alone = ratios(costs, costs_alone)
    figures = {
        "later elsewhere, middle token": Figure("ms", later[0.5]),
        "later elsewhere, 99 % of tokens": Figure("ms", later[0.99]),
        "processor per token of the owner": Figure("µs", costs),
        "processor per token, alone": Figure("µs", costs_alone),
        "processor per token of the owner, against alone": Figure("x", against_alone),
        "processor per token of the other": Figure(
            "µs", [one.cpu_us_per_token(ELSEWHERE) for one in elsewhere]
        ),
        "processor per token of Redis": Figure("µs", [one.cpu_us_per_token(REDIS) for one in elsewhere]),
        "cores busy with something else": Figure(
            "", [one.others for rounds in outcomes.values() for one in rounds]
        ),
    }
    return Result(
        [
            at_most("behind a local reader, middle token", MIDDLE_MS, median(later[0.5]), "ms"),
            at_most("behind a local reader, 99 % of tokens", SLOWEST_MS, median(later[0.99]), "ms"),
            at_most(
                "processor per token of the owner, against alone", MOST_RATIO, median(against_alone), "x"
            ),
        ],
        figures,
        [_curves(outcomes)],
        [
            f"{ANSWERS} answers of {TOKENS} tokens at {RATE} a second; all readers come before the first.",
            "On its way is a token from leaving the simulator until its frame was read by the client.",
            "The processor's time is that of the whole process, with storing and ending the turns.",
        ],
    )


def _curves(outcomes: Outcomes) -> Curves:
    samples = {
        way: quantiles([delay / 1000 for one in rounds for delay in one.delays_us])
        for way, rounds in outcomes.items()
    }
    return Curves("Share of tokens that were on their way for at most", "ms", samples)


def _later(rounds: Sequence[Outcome], bases: Sequence[Outcome], share: float) -> list[float]:
    return [_at(one, share) - _at(base, share) for one, base in zip(rounds, bases, strict=True)]


def _at(outcome: Outcome, share: float) -> float:
    """Give the delay that such a share of tokens didn't exceed, in milliseconds."""
    return at_share(outcome.delays_us, share) / 1000
