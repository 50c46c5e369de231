"""Churn: people connect, send, reload, cancel, stall and drop, and what the server holds is written down."""

import asyncio
import random
import socket as sockets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from statistics import fmean, linear_regression

import orjson

from loadtests.holdings import Holdings, Inspector, inspecting
from tests.harness.asking import WAYS, Until
from tests.harness.client import Client, visitor_of
from tests.harness.raw import Raw, raw, raw_socket, request
from tests.harness.readers import TRANSPORTS, read, read_through, read_whole
from tests.harness.received import Received
from tests.harness.websocket import socket

#: People at once, those among them who only stall, and visits of each before another one comes.
_PEOPLE = 24
_STALLING = 8
_VISITS = 20
#: Seconds between two looks at what is held.
_LOOK_S = 0.5
#: Tokens of an answer at most, and of one that fills all buffers on its way if it is asked for so many times.
_TOKENS = 200
_LONG, _TIMES = 4_000, 16
#: Seconds that a stalled reader keeps its connection at most; the server cuts it after ten of them.
_STALL_S = 13.0
#: Bytes of its window, as far as the kernel lets it be so small.
_WINDOW = 4096


@dataclass(frozen=True)
class Look:
    #: Seconds since the beginning, and visits.
    at: float
    visits: int
    held: Holdings


@dataclass(frozen=True)
class Churned:
    """What came of it."""

    #: How many visits there were, by kind.
    visits: Counter[str]
    looks: Sequence[Look]
    #: What was held while nobody was there, before and afterwards.
    before: Holdings
    after: Holdings

    @property
    def left(self) -> Mapping[str, int]:
        """What there is more than before, and how much."""
        return self.after.beyond(self.before)

    def mean(self, name: str, since: float) -> float:
        return fmean(getattr(look.held, name) for look in self._since(since))

    def growth(self, name: str, since: float) -> float:
        """By how much something grew from `since` on, as the fitted line has it."""
        looks = self._since(since)
        times = [look.at for look in looks]
        slope = linear_regression(times, [getattr(look.held, name) for look in looks]).slope
        return slope * (times[-1] - times[0])

    def visits_from(self, since: float) -> int:
        looks = self._since(since)
        return looks[-1].visits - looks[0].visits

    def _since(self, since: float) -> Sequence[Look]:
        return [look for look in self.looks if look.at >= since]


@dataclass(frozen=True)
class Long:
    """An answer that is long, and the cookies of whom it belongs to."""

    generation: str
    cookies: str


@dataclass(frozen=True)
class Person:
    client: Client
    rng: random.Random
    #: What is read by those who stall.
    long: Long

    def question(self) -> str:
        return f"Tell me about number {self.rng.random()}. [[tokens={self.rng.randrange(2, _TOKENS)}]]"

    def enough(self) -> Until:
        """Give what is true after some frames."""
        frames = self.rng.randrange(1, 6)
        seen = 0

        def until(_: Received) -> bool:
            nonlocal seen
            seen += 1
            return seen >= frames

        return until


Visit = Callable[[Person], Awaitable[None]]


async def _read(person: Person) -> None:
    """Ask, and read to the end."""
    way = person.rng.choice(list(WAYS.values()))
    assert (await way(person.client, person.question())).end is not None


async def _reload(person: Person) -> None:
    """Read on after every few frames, each time over another transport."""
    received = Received(await person.client.ask(person.question()))
    transports = cycle(person.rng.sample(TRANSPORTS, len(TRANSPORTS)))
    while received.end is None:
        await read_through(person.client, received, transports, person.enough())


async def _cancel(person: Person) -> None:
    """Stop an answer that has just begun, that waits, or that has ended already."""
    generation = await person.client.ask(person.question())
    transport = person.rng.choice(TRANSPORTS)
    received = await read(person.client, Received(generation), transport, person.enough())
    await person.client.cancel(generation)
    await read_through(person.client, received, cycle([transport]))
    assert received.end is not None
    assert received.end["reason"] in {"cancelled", "completed"}


async def _drop(person: Person) -> None:
    """Ask, and leave without a word after some frames."""
    way = person.rng.choice(list(WAYS.values()))
    await way(person.client, person.question(), person.enough())


async def _look_in(person: Person) -> None:
    """Open a WebSocket, watch a conversation that changes and goes, say nonsense."""
    client = person.client
    conversation = await client.begin()
    async with socket(client.url, cookies=client.cookies) as opened:
        assert (await opened.ask("watch", conversation=conversation))["type"] == "ok"
        await client.change(conversation, title="Another")
        assert (await opened.ask("dance"))["type"] == "error"
        await client.delete(conversation)
        while (await opened.receive())["type"] != "deleted":
            pass


async def _stall(person: Person) -> None:
    """Stop reading while much is to come, and leave after a while; the server cuts who waits for long."""
    long, url, patience = person.long, person.client.url, person.rng.uniform(0, _STALL_S)
    if person.rng.random() < 1 / 2:
        async with raw_socket(url, _narrow, cookies=long.cookies) as opened:
            for _ in range(_TIMES):
                opened.text(orjson.dumps({"type": "subscribe", "generation": long.generation}).decode())
            await _stand_still(opened.raw, patience)
    else:
        path = f"/api/v1/generations/{long.generation}/events"
        async with raw(url, _narrow) as one:
            one.say(_TIMES * request("GET", path, "accept: text/event-stream", f"cookie: {long.cookies}"))
            await _stand_still(one, patience)


def _narrow(plain: sockets.socket) -> None:
    plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, _WINDOW)


async def _stand_still(one: Raw, seconds: float) -> None:
    await one.reader.read(100)
    one.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(seconds)


VISITS: Mapping[str, Visit] = {
    "read": _read,
    "reload": _reload,
    "cancel": _cancel,
    "drop": _drop,
    "look in": _look_in,
    "stall": _stall,
}
#: The kinds of those who don't stand still.
_MOVING = [kind for kind in VISITS if kind != "stall"]


async def churn(url: str, pid: int, rng: random.Random, seconds: float, slots: int) -> Churned:
    """Have people come and go for so long; whoever gets anything wrong raises AssertionError."""
    async with inspecting(url, pid) as inspector, visitor_of(url) as first:
        person = Person(first, rng, await _prepare(first, slots))
        for kind in _MOVING:
            await VISITS[kind](person)
        before = await inspector.at_rest()
        visits, looks = await _come_and_go(inspector, person, seconds)
        return Churned(visits, looks, before, await inspector.settled(before))


async def _prepare(first: Client, slots: int) -> Long:
    """Have everything made that is made when it is first needed; gives a long answer."""
    for generation in [await first.ask("[[tokens=5]]") for _ in range(slots)]:
        await read_whole(first, generation)
    long = await first.hand_in(f"[[tokens={_LONG}]]")
    await read_whole(first, long)
    return Long(long, first.cookies)


async def _come_and_go(
    inspector: Inspector, first: Person, seconds: float
) -> tuple[Counter[str], Sequence[Look]]:
    """Look on for so long; who is still there then is cut."""
    begun, visits, looks = asyncio.get_running_loop().time(), Counter[str](), list[Look]()

    async def look_on() -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            held = await inspector.look()
            looks.append(Look(asyncio.get_running_loop().time() - begun, visits.total(), held))

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for kinds in [["stall"]] * _STALLING + [_MOVING] * (_PEOPLE - _STALLING):
                group.create_task(_come(first, kinds, visits))
            await look_on()
    return visits, looks


async def _come(first: Person, kinds: Sequence[str], visits: Counter[str]) -> None:
    """Have one after another come for some visits each, for ever."""
    while True:
        async with visitor_of(first.client.url) as client:
            person = Person(client, first.rng, first.long)
            for kind in first.rng.choices(kinds, k=_VISITS):
                await VISITS[kind](person)
                visits[kind] += 1
