"""Do a thousand streams come in time through one process?

A thousand people watch their answers at twenty tokens a second, through this server and through nginx, which
only passes the same model server's stream on. A token is in time within 50 ms of leaving the model server.
"""  # noqa: D400 - it is a question

from collections.abc import Mapping, Sequence
from statistics import median

from loadtests.bench import NGINX, Demand, bench
from loadtests.load import LoadFailed, Outcome
from loadtests.measures import Curves, Figure, Plan, Result, at_least, at_share, percent_within, quantiles
from loadtests.servers import CLIENT, OURS, SIMULATOR

#: Tokens a second of each stream.
RATE = 20
#: Nobody's thousand visitors ask in the same moment; what such a burst costs is another scenario's question.
DEMAND = Demand(streams=1_000, tokens=240, spread_s=4)
#: Opens connections, and lets caches fill.
_WARM_UP = Demand(streams=1_000, tokens=20, spread_s=4)
#: A token is in time after so many milliseconds.
IN_TIME_MS = 50

#: What was measured, by way, one for each round.
Outcomes = Mapping[str, Sequence[Outcome]]


async def run(plan: Plan) -> Result:
    outcomes: dict[str, list[Outcome]] = {NGINX: [], OURS: []}
    async with bench(plan.seed, RATE) as on:
        for name in outcomes:
            await on.measure(name, _WARM_UP)
        for number in range(1, plan.pairs + 1):
            for name, found in outcomes.items():
                found.append(await on.measure(name, DEMAND))
                if not found[-1].together_us:
                    raise LoadFailed("There was no moment in which all streams ran.")
                plan.tell(f"  round {number} of {plan.pairs}, {name}: {_said(name, found[-1])}")
    return evaluate(outcomes)


def _said(name: str, outcome: Outcome) -> str:
    return (
        f"{_in_time(outcome):.1f} % of {len(outcome.together_us)} tokens in time, the middle one after "
        f"{_at(outcome, 0.5):.1f} ms, 95 % within {_at(outcome, 0.95):.1f} ms; {_shares(name, outcome)}"
    )


def evaluate(outcomes: Outcomes) -> Result:
    ours, nginx = outcomes[OURS], outcomes[NGINX]
    figures = {
        "tokens in time": Figure("%", [_in_time(one) for one in ours]),
        "tokens in time, nginx": Figure("%", [_in_time(one) for one in nginx]),
        "on its way, middle token": Figure("ms", [_at(one, 0.5) for one in ours]),
        "on its way, 95 % of tokens": Figure("ms", [_at(one, 0.95) for one in ours]),
        "on its way, 95 % of tokens, nginx": Figure("ms", [_at(one, 0.95) for one in nginx]),
        "processor per token": Figure("µs", [one.cpu_us_per_token(OURS) for one in ours]),
        "processor per token, nginx": Figure("µs", [one.cpu_us_per_token(NGINX) for one in nginx]),
        **{
            f"share of one core, {who}": Figure("%", [100 * one.cpu_s[who] / one.seconds for one in ours])
            for who in (OURS, SIMULATOR, CLIENT)
        },
        "cores busy with something else": Figure("", [one.others for one in (*ours, *nginx)]),
    }
    in_time = figures["tokens in time"].median
    return Result(
        [
            at_least(
                f"tokens that arrived within {IN_TIME_MS} ms of leaving the model server", 95, in_time, "%"
            )
        ],
        figures,
        [_curves(outcomes)],
        _notes(outcomes),
    )


def _curves(outcomes: Outcomes) -> Curves:
    samples = {
        name: quantiles([delay / 1000 for one in rounds for delay in one.together_us])
        for name, rounds in outcomes.items()
    }
    return Curves("Share of tokens that were on their way for at most", "ms", samples)


def _notes(outcomes: Outcomes) -> list[str]:
    shares = "; ".join(
        f"through {name} {_shares(name, _middle(rounds))}" for name, rounds in outcomes.items()
    )
    return [
        f"{DEMAND.streams} streams of {DEMAND.tokens} tokens, {RATE} a second, begun in {DEMAND.spread_s} s.",
        "Times are those of the tokens that left while all streams ran.",
        "A token's text begins with the time at which the simulated model server wrote it.",
        f"Of the two cores' 200 % were used: {shares}.",
        "Figures of processor are of whole runs, with accepting, storing and ending the turns.",
    ]


def _shares(name: str, outcome: Outcome) -> str:
    return ", ".join(f"{who} {outcome.cpu_s[who] / outcome.seconds:.0%}" for who in (name, SIMULATOR, CLIENT))


def _middle(rounds: Sequence[Outcome]) -> Outcome:
    """Pick the round that stands for all."""
    middle = median(_in_time(one) for one in rounds)
    return min(rounds, key=lambda one: abs(_in_time(one) - middle))


def _in_time(outcome: Outcome) -> float:
    """Give the share of tokens that were in time, in percent."""
    return percent_within(outcome.together_us, 1000 * IN_TIME_MS)


def _at(outcome: Outcome, share: float) -> float:
    """Give the delay that such a share of tokens didn't exceed, in milliseconds."""
    return at_share(outcome.together_us, share) / 1000
