"""What does a token cost?

A hundred people watch their answers at fifty tokens a second: through this server, through nginx, which
only passes the same model server's stream on, and straight from the simulated model server.
"""  # noqa: D400 - it is a question

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from loadtests.bench import DIRECT, NGINX, Demand, bench
from loadtests.load import Outcome
from loadtests.measures import (
    Bars,
    Curves,
    Figure,
    Plan,
    Requirement,
    Result,
    at_least,
    at_most,
    quantiles,
    ratios,
)
from loadtests.servers import CLIENT, OURS, SIMULATOR

#: Tokens a second of each stream.
RATE = 50
DEMAND = Demand(streams=100, tokens=200)
#: So short that it shows what a turn costs before and after its tokens; opens connections, too.
SHORT = Demand(streams=100, tokens=5)

#: Short ones for each long one: what nginx adds to a first token is less than two of them differ by.
BURSTS = 3
#: The least difference that is told from none, in milliseconds.
_RESOLUTION = 1
#: Cores busy with something else from which on a round isn't to be trusted.
_DISTURBED = 0.2

#: What was measured, by way, one for each round.
Outcomes = Mapping[str, Sequence[Outcome]]


async def run(plan: Plan) -> Result:
    outcomes: dict[str, list[Outcome]] = {DIRECT: [], NGINX: [], OURS: []}
    bursts: dict[str, list[Outcome]] = {DIRECT: [], NGINX: [], OURS: []}
    async with bench(plan.seed, RATE) as on:
        for name in outcomes:
            await on.measure(name, SHORT)
        for number in range(1, plan.pairs + 1):
            for name, found in outcomes.items():
                found.append(await on.measure(name, DEMAND))
                plan.tell(f"  round {number} of {plan.pairs}, {name}: {_said(name, found[-1])}")
            for name in list(bursts) * BURSTS:
                bursts[name].append(await on.measure(name, SHORT))
    return evaluate(outcomes, bursts)


def _said(name: str, outcome: Outcome) -> str:
    cost = "" if name == DIRECT else f", {outcome.cpu_us_per_token(name):.1f} µs of processor a token"
    disturbed = f" (others: {outcome.others:.1f} cores)" if outcome.others > _DISTURBED else ""
    return (
        f"{outcome.tokens} tokens, the first after {outcome.first_token_ms:.1f} ms, "
        f"each {outcome.delay_ms:.2f} ms on its way{cost}{disturbed}"
    )


def evaluate(outcomes: Outcomes, bursts: Outcomes) -> Result:
    figures = {**_token_figures(outcomes), **_burst_figures(bursts), **_others(outcomes, bursts)}
    return Result(_requirements(figures), figures, _plots(outcomes, bursts, figures), _notes(outcomes))


def _token_figures(outcomes: Outcomes) -> dict[str, Figure]:
    ours, nginx, direct = outcomes[OURS], outcomes[NGINX], outcomes[DIRECT]
    costs = {name: [one.cpu_us_per_token(name) for one in outcomes[name]] for name in (OURS, NGINX)}
    return {
        "processor per token": Figure("µs", costs[OURS]),
        "processor per token, nginx": Figure("µs", costs[NGINX]),
        "processor per token, against nginx": Figure("x", ratios(costs[OURS], costs[NGINX])),
        "tokens in a frame of their own": Figure("%", [100 * one.alone_share for one in ours]),
        "on its way": _figure("ms", ours, _delay),
        "on its way, nginx": _figure("ms", nginx, _delay),
        "on its way, direct": _figure("ms", direct, _delay),
        "on its way, added": Figure("ms", _added(ours, direct, _delay)),
    }


def _burst_figures(bursts: Outcomes) -> dict[str, Figure]:
    ours, nginx, direct = bursts[OURS], bursts[NGINX], bursts[DIRECT]
    answer = f"processor per answer of {SHORT.tokens} tokens"
    return {
        "first token": _figure("ms", ours, _first),
        "first token, nginx": _figure("ms", nginx, _first),
        "first token, direct": _figure("ms", direct, _first),
        "first token, added": Figure("ms", _added(ours, direct, _first)),
        "first token, added by nginx": Figure("ms", _added(nginx, direct, _first)),
        answer: _figure("ms", ours, lambda one: 1000 * one.cpu_s[OURS] / one.streams),
        f"{answer}, nginx": _figure("ms", nginx, lambda one: 1000 * one.cpu_s[NGINX] / one.streams),
    }


def _others(*measured: Outcomes) -> dict[str, Figure]:
    found = [one.others for outcomes in measured for rounds in outcomes.values() for one in rounds]
    return {"cores busy with something else": Figure("", found)}


def _requirements(figures: Mapping[str, Figure]) -> list[Requirement]:
    added = figures["first token, added"].median
    added_by_nginx = max(figures["first token, added by nginx"].median, _RESOLUTION)
    return [
        at_most(
            "processor per token, against nginx",
            3,
            figures["processor per token, against nginx"].median,
            "x",
            aim=2,
        ),
        at_least("tokens in a frame of their own", 90, figures["tokens in a frame of their own"].median, "%"),
        at_most("delay added to a token", 5, figures["on its way, added"].median, "ms"),
        at_most(
            f"delay added to the first token of {DEMAND.streams} asked for at once, against nginx",
            3,
            added / added_by_nginx,
            "x",
        ),
    ]


def _plots(outcomes: Outcomes, bursts: Outcomes, figures: Mapping[str, Figure]) -> list[Bars | Curves]:
    def curves(title: str, measured: Outcomes, values: Callable[[Outcome], Sequence[float]]) -> Curves:
        together = {
            name: [value for one in rounds for value in values(one)] for name, rounds in measured.items()
        }
        return Curves(title, "ms", {name: quantiles(found) for name, found in together.items()})

    def delays(one: Outcome) -> list[float]:
        return [delay / 1000 for delay in one.delays_us]

    costs = {OURS: figures["processor per token"], NGINX: figures["processor per token, nginx"]}
    return [
        Bars("Processor per token", costs),
        curves("Share of tokens that were on their way for at most", outcomes, delays),
        curves("Share of streams whose first token came after at most", bursts, lambda one: one.first_ms),
    ]


def _notes(outcomes: Outcomes) -> list[str]:
    def share(name: str, rounds: Sequence[Outcome]) -> str:
        return f"{median(one.cpu_s[name] / one.seconds for one in rounds):.0%}"

    by_way = (
        f"{way}: client {share(CLIENT, rounds)}, simulator {share(SIMULATOR, rounds)}"
        for way, rounds in outcomes.items()
    )
    return [
        f"{DEMAND.streams} streams of {DEMAND.tokens} tokens at {RATE} a second, all asked for at once.",
        "Connections are open and conversations are there before; the ways take turns in each round.",
        "The processor's time is that of the whole process, with accepting, storing and ending the turns.",
        f"Of one core were used by {'; '.join(by_way)}.",
        "On its way is a token from leaving the simulator until its frame was read by the client.",
        f"First tokens are those of bursts: {SHORT.streams} streams of {SHORT.tokens} tokens.",
        f"What nginx adds to a first token counts as {_RESOLUTION} ms at least.",
    ]


def _added(
    rounds: Sequence[Outcome], direct: Sequence[Outcome], value: Callable[[Outcome], float]
) -> list[float]:
    """Give what a way adds in each round to the direct one."""
    return [value(one) - value(base) for one, base in zip(rounds, direct, strict=True)]


def _figure(unit: str, rounds: Sequence[Outcome], value: Callable[[Outcome], float]) -> Figure:
    return Figure(unit, [value(one) for one in rounds])


def _first(outcome: Outcome) -> float:
    return outcome.first_token_ms


def _delay(outcome: Outcome) -> float:
    return outcome.delay_ms
