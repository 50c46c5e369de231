"""What breaks first under more and more load, and does it heal?

More and more people ask each second, until answers or tokens come late, or are refused. Then twice as many
ask as could be served, and then fewer again: nothing may collapse, refusals have to come at once, and soon
after all has to be as it was before.
"""  # noqa: D400 - it is a question

import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import median

from loadtests.conversations import begin, questions, turn
from loadtests.holdings import inspecting
from loadtests.load import Job, LoadFailed
from loadtests.measures import (
    Bars,
    Curves,
    Figure,
    Plan,
    Requirement,
    Result,
    at_least,
    at_most,
    at_share,
    quantiles,
)
from loadtests.processes import running, stopwatch
from loadtests.servers import CLIENT, OURS, SIMULATOR, Service, service

#: Tokens of each answer, and in a second: an answer takes about one.
TOKENS = 50
RATE = 50
#: Answers at the model server at once, and in the queue before it: more than this server keeps up with, and
#: few enough to be full under twice that.
LIMITS = {"ollama.slots": 150, "limits.waiting": 50}

#: What is held: of the first tokens and of all tokens 95 % come within so many milliseconds.
FIRST_MS = 500
IN_TIME_MS = 50
#: How long refusing may take, what has still to be answered, and when all has to be as before.
MOST_REFUSING_MS = 50
LEAST_ANSWERED = 0.8
HEALED_S = 30
#: How much longer a first token may then take than at the beginning.
MOST_AFTER = 1.5

#: People that ask each second at first, and how many times more in the next step.
_FIRST_RATE = 20
_STEP = 1.5
#: Seconds of a step, and of twice the load.
_STEP_S = 5.0
_PEAK_S = 10.0
#: Seconds that an answer may take.
_PATIENCE_S = 60


@dataclass(frozen=True)
class Step:
    """What became of one rate of asking."""

    #: Questions a second.
    rate: float
    asked: int
    answered: int
    failed: int
    #: What was said instead of the first answer that failed.
    why: str
    seconds: float
    cores: Mapping[str, float]
    first_ms: Sequence[float]
    delays_ms: Sequence[float]
    refused_ms: Sequence[float]
    #: By how much the client itself woke too late to ask, at the same time and on the same cores.
    lags_ms: Sequence[float]

    @property
    def answered_rate(self) -> float:
        return self.rate * self.answered / self.asked

    def broken(self) -> list[str]:
        """Say what isn't as it should be."""
        first, token = p95(self.first_ms), p95(self.delays_ms)
        signs = {
            f"{self.failed} answers failed ({self.why})": self.failed > 0,
            f"{len(self.refused_ms)} of {self.asked} were refused": len(self.refused_ms) > 0,
            f"first tokens came late (95 % within {first:.0f} ms)": first > FIRST_MS,
            f"tokens came late (95 % within {token:.0f} ms)": token > IN_TIME_MS,
        }
        return [sign for sign, shown in signs.items() if shown]


@dataclass(frozen=True)
class Round:
    """The way up, beyond, and back."""

    held: Step
    broke: Step
    twice: Step
    back: Step
    after: Step
    #: Tasks, sockets, files, readers, slots and answers that the process held more than before.
    left: int
    #: Bytes of memory that it had grown by; finished answers are kept for a while.
    grown: int


async def run(plan: Plan) -> Result:
    rounds: list[Round] = []
    for number in range(1, plan.pairs + 1):
        plan.tell(f"  round {number} of {plan.pairs}")
        async with service(plan.seed, RATE, LIMITS) as on:
            rounds.append(await _measure(on, plan))
    return evaluate(rounds)


async def _measure(on: Service, plan: Plan) -> Round:
    async def step(rate: float, seconds: float = _STEP_S) -> Step:
        found = await _press(on, rate, seconds)
        plan.tell(f"    {_said(found)}")
        return found

    async with inspecting(f"http://{on.address}", on.pids[OURS]) as inspector:
        # Fills caches, and opens what then stays open.
        await _press(on, 10 * _FIRST_RATE, 1)
        before = await inspector.look()
        held, broke = await _climb(step)
        twice = await step(2 * held.rate, _PEAK_S)
        back = await step(held.rate / 2)
        then = await inspector.settled(before, HEALED_S)
        after = await step(held.rate / 2)
        left = sum(then.beyond(before).values())
    return Round(held, broke, twice, back, after, left, then.memory - before.memory)


async def _climb(step: Callable[[float], Awaitable[Step]]) -> tuple[Step, Step]:
    """Ask more and more often; give the last step that held, and the first that didn't."""
    held, broke, rate = None, None, float(_FIRST_RATE)
    while broke is None:
        found = await step(rate)
        if found.broken():
            broke = found
        else:
            held, rate = found, rate * _STEP
    if held is None:
        raise LoadFailed(
            f"{_FIRST_RATE} questions a second were too many already: {', '.join(broke.broken())}."
        )
    between = await step(sqrt(held.rate * broke.rate))
    return (held, between) if between.broken() else (between, broke)


async def _press(on: Service, rate: float, seconds: float) -> Step:
    host, _, port = on.address.partition(":")
    asked = round(rate * seconds)
    conversations = await begin(on.address, asked)
    requests = [
        turn(on.address, conversation, question, close=True)
        for conversation, question in zip(conversations, questions(asked, TOKENS), strict=True)
    ]
    async with running(sys.executable, "-m", "loadtests.pressing_client") as client:
        used = stopwatch(on.pids)
        await client.tell(json.dumps(asdict(Job(host, int(port), requests, "\n\n", _PATIENCE_S, seconds))))
        ran = await client.facts(seconds + 2 * _PATIENCE_S)
        cpu = {**used(), CLIENT: ran.pop("cpu_s")}
    cores = {who: spent / ran["seconds"] for who, spent in cpu.items()}
    return Step(rate=rate, asked=asked, cores=cores, **ran)


def _said(one: Step) -> str:
    refused = f", {len(one.refused_ms)} refused (95 % within {p95(one.refused_ms):.0f} ms)" * bool(
        one.refused_ms
    )
    shares = ", ".join(f"{who} {cores:.0%}" for who, cores in one.cores.items())
    return (
        f"{one.rate:.0f} a second: {one.answered} of {one.asked} answered{refused}, 95 % of first tokens "
        f"within {p95(one.first_ms):.0f} ms, of tokens within {p95(one.delays_ms):.0f} ms; {shares}"
    )


def p95(times: Sequence[float]) -> float:
    return at_share(times, 0.95)


def evaluate(rounds: Sequence[Round]) -> Result:
    figures = {
        "held": Figure("questions/s", [one.held.rate for one in rounds]),
        "broke": Figure("questions/s", [one.broke.rate for one in rounds]),
        "answered at twice what held": Figure("answers/s", [one.twice.answered_rate for one in rounds]),
        "answered, against what held": Figure(
            "x", [one.twice.answered_rate / one.held.answered_rate for one in rounds]
        ),
        "refused at twice what held": Figure(
            "%", [100 * len(one.twice.refused_ms) / one.twice.asked for one in rounds]
        ),
        "refusing, 95 % within": Figure("ms", [p95(one.twice.refused_ms) for one in rounds]),
        "refusing, half within": Figure("ms", [at_share(one.twice.refused_ms, 0.5) for one in rounds]),
        "failed": Figure("", [one.twice.failed + one.back.failed + one.after.failed for one in rounds]),
        **_first_tokens(rounds),
        "first token afterwards, against right before": Figure(
            "x", [median(one.after.first_ms) / median(one.back.first_ms) for one in rounds]
        ),
        "things left": Figure("", [one.left for one in rounds]),
        "memory grown": Figure("MiB", [one.grown / 2**20 for one in rounds]),
        **{
            f"share of one core, {who}, {when}": Figure("%", [100 * step.cores[who] for step in steps])
            for when, steps in {
                "what held": [one.held for one in rounds],
                "twice that": [one.twice for one in rounds],
            }.items()
            for who in (OURS, SIMULATOR, CLIENT)
        },
    }
    return Result(_requirements(rounds, figures), figures, _plots(rounds, figures), _notes(rounds))


def _first_tokens(rounds: Sequence[Round]) -> dict[str, Figure]:
    steps = {
        "what held": [one.held for one in rounds],
        "twice that": [one.twice for one in rounds],
        "half of it, right after": [one.back for one in rounds],
        "half of it, when all had ended": [one.after for one in rounds],
    }
    return {
        f"first token, 95 % within, {when}": Figure("ms", [p95(step.first_ms) for step in found])
        for when, found in steps.items()
    }


def _requirements(rounds: Sequence[Round], figures: Mapping[str, Figure]) -> list[Requirement]:
    afterwards = "first token afterwards, against right before"
    least_refused = min(len(one.twice.refused_ms) for one in rounds)
    return [
        at_least(
            "answers at twice the load that held, against what held",
            LEAST_ANSWERED,
            figures["answered, against what held"].median,
            "x",
        ),
        at_most("answers that were accepted and failed", 0, figures["failed"].high, "of them"),
        at_least("questions refused", 1, least_refused, "of them"),
        at_most("refusing, 95 % within", MOST_REFUSING_MS, figures["refusing, 95 % within"].median, "ms"),
        at_most(f"things left after {HEALED_S} s", 0, figures["things left"].high, "of them"),
        at_most(afterwards, MOST_AFTER, figures[afterwards].median, "x"),
    ]


def _plots(rounds: Sequence[Round], figures: Mapping[str, Figure]) -> list[Bars | Curves]:
    def curves(title: str, values: Callable[[Step], Sequence[float]], *names: str) -> Curves:
        together = {name: [value for one in rounds for value in values(getattr(one, name))] for name in names}
        return Curves(title, "ms", {name: quantiles(found) for name, found in together.items()})

    rates = {
        "held": figures["held"],
        "broke": figures["broke"],
        "answered at twice what held": figures["answered at twice what held"],
    }
    steps = ("held", "broke", "twice", "back", "after")
    plots: list[Bars | Curves] = [
        Bars("Questions or answers a second", rates),
        curves("Share of first tokens that came after at most", lambda one: one.first_ms, *steps),
    ]
    if any(one.twice.refused_ms for one in rounds):
        plots.append(curves("Share of refusals that came after at most", lambda one: one.refused_ms, "twice"))
    return plots


def _notes(rounds: Sequence[Round]) -> list[str]:
    return [
        *(
            f"Broke first, at {one.broke.rate:.0f} questions a second: {', '.join(one.broke.broken())}."
            for one in rounds
        ),
        f"Answers of {TOKENS} tokens at {RATE} a second, each a turn of a conversation of its own.",
        "Each comes on a connection of its own, and the clock starts before that is made.",
        "The client's own lag is how late it woke to ask; what it adds to the times isn't taken off.",
        f"It holds while 95 % of first tokens come within {FIRST_MS} ms, 95 % of tokens within {IN_TIME_MS}",
        "ms, and nothing is refused or fails.",
        f"The model server has {LIMITS['ollama.slots']} slots, the queue {LIMITS['limits.waiting']} places.",
        "Half of what held is asked right after twice of it, and again when nothing is left of that.",
    ]
