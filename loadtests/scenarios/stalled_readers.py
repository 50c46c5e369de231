"""Do readers that stop reading harm those who read?

A hundred people read a hundred answers that come as fast as they can; in every other round five hundred more
readers, by SSE and by WebSocket, begin to read the same answers and stop. The healthy ones must not notice,
and the others be gone soon after the kernel takes no more for them.
"""  # noqa: D400 - it is a question

import asyncio
import json
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, replace

from loadtests.conversations import begin, endless_questions, questions, turn
from loadtests.holdings import inspecting
from loadtests.kernel_queues import Fates
from loadtests.load import LoadFailed
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
from loadtests.memory import memory_bytes
from loadtests.processes import running, stopwatch
from loadtests.servers import CLIENT, OURS, SIMULATOR, Service, service
from loadtests.stalling_client import StallingJob

HEALTHY = 100
STALLED = 500
#: Fewer pairs of rounds say nothing about a ratio of such delays.
PAIRS = 5
#: How much slower the slowest hundredth may come, the memory one may take, and how soon it has to be gone.
MOST_RATIO = 1.2
MOST_KIB = 128
MOST_S = 15

#: An answer ends here: after the stalled readers' sockets are full, and they are gone.
_BYTES_OF_TEXT = 400_000
#: The same where memory is looked at: after the sockets are full, while all are still there.
_BYTES_FOR_MEMORY = 200_000
#: Answers before anything is measured: so many at once that all the files are open which then stay open.
_WARM_UP = HEALTHY
#: Time for the stalled readers to come before the first token does.
_FIRST_TOKEN_MS = 4_000
_OPENING_S = 60
_DEADLINE_S = 150
#: Seconds for connections to be closed once their client has gone.
_SETTLE_S = 15
_ALONE, _BESIDE = "alone", "beside stalled readers"
_BETWEEN = "between tokens, 99 % within"
_RATIO = "between tokens, 99 % within, against alone"
_NOTES = [
    f"{HEALTHY} answers of {_BYTES_OF_TEXT // 1000} kB each, read by {HEALTHY} by SSE; {STALLED} more stall.",
    "Half of the stalled ones come by SSE, half by WebSocket; all are there before the first token.",
    "A time between tokens is one between two readings: what comes together counts as one.",
    "Judged is each answer from its first third on: before, the kernel takes bytes for stalled ones too, and",
    "six times as many are served. The ends aren't judged, either: all answers are stored at one moment.",
    "Full is a socket whose queue in the kernel changes for the last time.",
    f"A stalled reader's memory is what the process has more, by answers of {_BYTES_FOR_MEMORY // 1000} kB.",
]


@dataclass(frozen=True)
class Round:
    #: Milliseconds between two tokens of a healthy reader, evenly by rank: in the later part of each answer,
    #: by when the others have stalled, and in all of it.
    gaps_ms: Sequence[float]
    all_gaps_ms: Sequence[float]
    #: Bytes that the process had grown by when the answers had ended and the stalled ones were still there.
    grown: int
    cores: Mapping[str, float]
    #: Seconds from being full to being gone, of each stalled reader.
    gone_s: Sequence[float] = ()
    #: The share of the text that the healthy ones had when the last stalled one was full.
    full_at: float = 0
    #: Tasks, sockets, files, readers and slots that the process held more than before.
    left: int = 0


async def run(plan: Plan) -> Result:
    rounds: dict[str, list[Round]] = {_ALONE: [], _BESIDE: []}
    for number in range(1, plan.pairs + 1):
        for name, stalled in ((_ALONE, 0), (_BESIDE, STALLED)):
            rounds[name].append(await _round(plan.seed, stalled))
            plan.tell(f"  round {number} of {plan.pairs}, {name}: {_said(rounds[name][-1])}")
    return evaluate(rounds[_ALONE], rounds[_BESIDE])


async def _round(seed: int, stalled: int) -> Round:
    async with _answering(seed, _BYTES_OF_TEXT) as on:
        found = await _measure(on, stalled)
    # In answers that end while the stalled readers are there, so that nothing but those differs.
    async with _answering(seed, _BYTES_FOR_MEMORY) as on:
        return replace(found, grown=(await _measure(on, stalled)).grown)


def _answering(seed: int, size: int) -> AbstractAsyncContextManager[Service]:
    return service(seed, None, {"generation.max_text_bytes": size}, first_token_ms=_FIRST_TOKEN_MS)


def _said(one: Round) -> str:
    gone = f", gone within {max(one.gone_s):.1f} s" if one.gone_s else ""
    shares = ", ".join(f"{who} {cores:.0%}" for who, cores in one.cores.items())
    return f"99 % of tokens within {p99(one.gaps_ms):.0f} ms of the one before{gone}; {shares}"


def evaluate(alone: Sequence[Round], beside: Sequence[Round]) -> Result:
    pairs = list(zip(alone, beside, strict=True))
    figures = {
        _BETWEEN: Figure("ms", [p99(one.gaps_ms) for one in alone]),
        f"{_BETWEEN}, {_BESIDE}": Figure("ms", [p99(one.gaps_ms) for one in beside]),
        _RATIO: Figure("x", [p99(one.gaps_ms) / p99(base.gaps_ms) for base, one in pairs]),
        f"{_RATIO}, from the first token on": Figure(
            "x", [p99(one.all_gaps_ms) / p99(base.all_gaps_ms) for base, one in pairs]
        ),
        "memory a stalled reader": Figure(
            "KiB", [(one.grown - base.grown) / STALLED / 1024 for base, one in pairs]
        ),
        "text that had come when all were full": Figure("%", [100 * one.full_at for one in beside]),
        "gone after being full": Figure("s", [max(one.gone_s) for one in beside]),
        "stalled readers that went": Figure("", [len(one.gone_s) for one in beside]),
        "things left": Figure("", [one.left for one in beside]),
        **{
            f"share of one core, {who}": Figure("%", [100 * one.cores[who] for one in beside])
            for who in (OURS, SIMULATOR, CLIENT)
        },
    }
    return Result(_requirements(figures), figures, _plots(alone, beside, figures), _NOTES)


def _requirements(figures: Mapping[str, Figure]) -> list[Requirement]:
    return [
        at_most(
            "slowest hundredth of times between tokens, against without stalled readers",
            MOST_RATIO,
            figures[_RATIO].median,
            "x",
        ),
        at_most("memory a stalled reader", MOST_KIB, figures["memory a stalled reader"].median, "KiB"),
        at_most("time until all are gone", MOST_S, figures["gone after being full"].high, "s"),
        at_least("stalled readers that went", STALLED, figures["stalled readers that went"].low, "of them"),
        at_most("tasks, sockets, files, readers and slots left", 0, figures["things left"].high, "of them"),
    ]


def _plots(
    alone: Sequence[Round], beside: Sequence[Round], figures: Mapping[str, Figure]
) -> list[Bars | Curves]:
    bars = {
        _ALONE: figures[_BETWEEN],
        _BESIDE: figures[f"{_BETWEEN}, {_BESIDE}"],
    }
    samples = {
        name: quantiles([gap for one in rounds for gap in one.gaps_ms])
        for name, rounds in ((_ALONE, alone), (_BESIDE, beside))
    }
    return [
        Bars("Time between two tokens, of which 99 % are shorter", bars),
        Curves("Share of times between two tokens that were at most", "ms", samples),
    ]


def value_at(course: Sequence[tuple[float, float]], when: float) -> float:
    """Tell how far something had come by a time."""
    before = bisect_right(course, (when, float("inf")))
    return course[before - 1][1] if before else 0


def p99(gaps: Sequence[float]) -> float:
    return at_share(gaps, 0.99)


async def _measure(on: Service, stalled: int) -> Round:
    async with inspecting(f"http://{on.address}", on.pids[OURS]) as inspector:
        await _watch(on, await _job(on, questions(_WARM_UP, tokens=20), 0))
        before = await inspector.look()
        found = await _watch(on, await _job(on, endless_questions(HEALTHY), stalled))
        after = await inspector.settled(before, _SETTLE_S)
    return replace(found, left=sum(after.beyond(before).values()))


async def _watch(on: Service, job: StallingJob) -> Round:
    server = on.pids[OURS]
    begun = memory_bytes(server)
    async with running(sys.executable, "-m", "loadtests.stalling_client") as client:
        await client.tell(json.dumps(asdict(job)))
        fates = Fates((await client.facts(_OPENING_S))["ports"])
        watching = asyncio.create_task(fates.look_on(job.port), name="fates of stalled readers")
        used = stopwatch(on.pids)
        ran = await client.facts(_DEADLINE_S)
        cpu = {**used(), CLIENT: ran["cpu_s"]}
        grown = memory_bytes(server) - begun
        async with asyncio.timeout(_DEADLINE_S):
            await watching
    if ran["complete"] < len(job.requests):
        raise LoadFailed(f"Only {ran['complete']} of {len(job.requests)} answers came whole.")
    course = [(when, size) for when, size in ran["progress"]]
    return Round(
        gaps_ms=ran["later_gaps_ms"],
        all_gaps_ms=ran["gaps_ms"],
        grown=grown,
        cores={who: seconds / ran["seconds"] for who, seconds in cpu.items()},
        gone_s=fates.seconds(),
        full_at=value_at(course, max(fates.full.values(), default=0)) / course[-1][1],
    )


async def _job(on: Service, questions: Sequence[str], stalled: int) -> StallingJob:
    host, _, port = on.address.partition(":")
    conversations = await begin(on.address, len(questions))
    requests = [
        turn(on.address, conversation, question)
        for conversation, question in zip(conversations, questions, strict=True)
    ]
    return StallingJob(host, int(port), requests, stalled, _DEADLINE_S)
