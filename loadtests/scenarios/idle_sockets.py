"""What does an idle connection cost in memory?

Ten thousand WebSockets are open at one process; two hundred of them stream an answer, the others wait. Memory
is what the process has grown by, divided by its connections.
"""  # noqa: D400 - it is a question

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtests.conversations import questions
from loadtests.measures import (
    Bars,
    Curves,
    Figure,
    Plan,
    Result,
    at_least,
    at_most,
    percent_within,
    quantiles,
)
from loadtests.memory import memory_bytes, peak_of
from loadtests.processes import stopwatch
from loadtests.servers import CLIENT, OURS, SIMULATOR, Service, service
from loadtests.socket_client import SocketJob
from loadtests.sockets import messages, opened

SOCKETS = 10_000
STREAMING = 200
#: Tokens a second, and in all, of each that streams.
RATE = 20
TOKENS = 200
#: A token is in time after so many milliseconds.
IN_TIME_MS = 50
#: KiB of memory a connection.
MOST_KIB = 45

#: Seconds that all of them are idle.
_IDLE_S = 5
#: Seconds for the answers.
_STREAMING_S = TOKENS / RATE + 30
#: Seconds over which the answers are asked for; a burst of them is another scenario's question.
_SPREAD_S = 3
#: Opened and streaming before: fills caches and pools, so that they aren't taken for connections' memory.
_WARM_UP = 50
#: Where the client's connections come from: one address has ports for all, but not twice in a minute.
_SOURCES = [f"127.0.0.{last}" for last in range(2, 6)]


@dataclass(frozen=True)
class Round:
    """What one server showed with all its connections."""

    #: Connections that were still open in the end.
    kept: int
    opening_ms: float
    #: KiB a connection: while all were idle, and the most while some streamed.
    idle_kib: float
    streaming_kib: float
    #: Cores used by the server while all were idle, and by everyone while some streamed.
    idle_cores: float
    cores: Mapping[str, float]
    delays_ms: Sequence[float]

    @property
    def in_time(self) -> float:
        """The share of tokens in time, in percent."""
        return percent_within(self.delays_ms, IN_TIME_MS)


async def run(plan: Plan) -> Result:
    rounds: list[Round] = []
    for number in range(1, plan.pairs + 1):
        # What a process has once grown by can't be seen again, so each round has one of its own.
        async with service(plan.seed, RATE) as on:
            await _warm_up(on)
            rounds.append(await _measure(on))
        plan.tell(f"  round {number} of {plan.pairs}: {_said(rounds[-1])}")
    return evaluate(rounds)


def _said(one: Round) -> str:
    return (
        f"{one.kept} connections, opened in {one.opening_ms:.2f} ms each; {one.idle_kib:.1f} KiB each while "
        f"idle ({one.idle_cores:.0%} of a core), {one.streaming_kib:.1f} KiB while {STREAMING} stream "
        f"({', '.join(f'{who} {cores:.0%}' for who, cores in one.cores.items())}); "
        f"{one.in_time:.1f} % of tokens in time"
    )


def evaluate(rounds: Sequence[Round]) -> Result:
    figures = {
        "memory a connection": Figure("KiB", [one.streaming_kib for one in rounds]),
        "memory a connection, all idle": Figure("KiB", [one.idle_kib for one in rounds]),
        "connections kept": Figure("", [one.kept for one in rounds]),
        "processor to open a connection": Figure("ms", [one.opening_ms for one in rounds]),
        "tokens in time": Figure("%", [one.in_time for one in rounds]),
        f"share of one core, {OURS}, all idle": Figure("%", [100 * one.idle_cores for one in rounds]),
        **{
            f"share of one core, {who}": Figure("%", [100 * one.cores[who] for one in rounds])
            for who in (OURS, SIMULATOR, CLIENT)
        },
    }
    return Result(
        [
            at_most("memory a connection", MOST_KIB, figures["memory a connection"].median, "KiB"),
            at_least("connections that stayed open", SOCKETS, figures["connections kept"].low, "of them"),
        ],
        figures,
        _plots(rounds, figures),
        [
            f"{SOCKETS} WebSockets, of which {STREAMING} stream {TOKENS} tokens each at {RATE} a second.",
            "Memory is the process's proportional set size, without the kernel's buffers; its peak counts.",
            "Every round has a server of its own, which has served some connections before.",
            f"In time is a token within {IN_TIME_MS} ms of leaving the simulated model server.",
        ],
    )


def _plots(rounds: Sequence[Round], figures: Mapping[str, Figure]) -> list[Bars | Curves]:
    title = (
        f"Share of tokens that were on their way for at most, beside {SOCKETS - STREAMING} idle connections"
    )
    delays = quantiles([delay for one in rounds for delay in one.delays_ms])
    memory = {
        "all idle": figures["memory a connection, all idle"],
        "some streaming": figures["memory a connection"],
    }
    return [Bars("Memory a connection", memory), Curves(title, "ms", {OURS: delays})]


async def _warm_up(on: Service) -> None:
    async with opened(await _job(on, _WARM_UP, _WARM_UP)) as sockets:
        await sockets.stream()


async def _measure(on: Service) -> Round:
    server = on.pids[OURS]
    job = await _job(on, SOCKETS, STREAMING)
    before, used = memory_bytes(server), stopwatch(on.pids)
    async with opened(job) as sockets:
        opening = used()[OURS]
        async with peak_of(server) as idle:
            used = stopwatch(on.pids)
            await asyncio.sleep(_IDLE_S)
            idle_cores = used()[OURS] / _IDLE_S
        async with peak_of(server) as streaming:
            used = stopwatch(on.pids)
            ran = await sockets.stream()
            cpu = {**used(), CLIENT: ran["cpu_s"]}
    return Round(
        kept=ran["open"],
        opening_ms=1000 * opening / SOCKETS,
        idle_kib=(idle.bytes - before) / SOCKETS / 1024,
        streaming_kib=(streaming.bytes - before) / SOCKETS / 1024,
        idle_cores=idle_cores,
        cores={who: seconds / ran["seconds"] for who, seconds in cpu.items()},
        delays_ms=[delay / 1000 for delay in ran["delays_us"]],
    )


async def _job(on: Service, sockets: int, streaming: int) -> SocketJob:
    host, _, port = on.address.partition(":")
    asked = await messages(on.address, questions(streaming, TOKENS))
    return SocketJob(host, int(port), _SOURCES, sockets, asked, _SPREAD_S, _STREAMING_S)
