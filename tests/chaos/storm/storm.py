"""One fault after the other, each while people ask and read; and what became of their answers."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from tests.chaos.storm.arena import Arena
from tests.chaos.storm.faults import FAULTS, Fault
from tests.chaos.storm.invariants import Broken, Rest, at_rest, check, check_ends, check_redis
from tests.chaos.storm.people import Company

_PEOPLE = 9
#: One fault in so many is followed by a second one before it is over, after so many seconds at most.
_ONE_IN_DOUBLE = 4
_SECOND_AFTER_S = 1.5
#: Seconds within which all is as it was before.
_FAULT_S = 240
#: Rounds without a fault before the first one.
_WARM_UP = 2
#: Seconds after which no connection is open any more that people have left open, and that nobody uses.
_IDLE_S = 20
#: The part of the answers that has to be completed, where it isn't the model that fails.
_COMPLETED = 0.95


@dataclass(frozen=True)
class Blow:
    fault: Fault
    second: Fault | None = None

    def __str__(self) -> str:
        return self.fault.name + (f", then {self.second.name}" if self.second else "")

    @property
    def fails_answers(self) -> bool:
        return any(fault.fails_answers for fault in self._both)

    @property
    def hides_database(self) -> bool:
        return any(fault.hides_database for fault in self._both)

    @property
    def _both(self) -> tuple[Fault, ...]:
        return (self.fault,) if self.second is None else (self.fault, self.second)


@dataclass(frozen=True)
class Aftermath:
    blow: Blow
    turns: int
    #: Nobody asked for the end of so many.
    unstopped: int
    #: So many of those were completed.
    completed: int
    resets: int
    #: The longest that somebody waited for something to read.
    longest_wait_s: float
    reasons: tuple[str, ...]


async def _nothing(arena: Arena, company: Company, rng: random.Random) -> None:
    """Let people talk."""


CALM = Blow(Fault("nothing", "nothing", _nothing))


def schedule(rng: random.Random) -> Iterator[Blow]:
    """All faults in one order after the other, some with a second one, for ever."""
    while True:
        for fault in rng.sample(FAULTS, len(FAULTS)):
            others = [other for other in FAULTS if other.part != fault.part]
            double = rng.randrange(_ONE_IN_DOUBLE) == 0
            yield Blow(fault, rng.choice(others) if double else None)


class Storm:
    """Blows on one arena; in the end all has to be as it was in the beginning."""

    def __init__(self, arena: Arena, rng: random.Random) -> None:
        self.arena = arena
        self._rng = rng
        self._before: Rest | None = None
        self.aftermaths: list[Aftermath] = []

    async def begin(self) -> None:
        """Let everything be made that is made when it is first needed, and see what is held then."""
        for _ in range(_WARM_UP):
            await strike(self.arena, CALM, self._chance())
        self._before = await at_rest(self.arena)

    async def blow(self, blow: Blow) -> Aftermath:
        aftermath = await strike(self.arena, blow, self._chance())
        self.aftermaths.append(aftermath)
        return aftermath

    async def end(self) -> Rest:
        """Give what is still held, before all instances leave."""
        assert self._before is not None
        after = await self._given_back(self._before)
        await check_ends(self.arena)
        if more := after.beyond(self._before):
            raise Broken(f"more than in the beginning: {more}, now {after}")
        usual = [one for one in self.aftermaths if not one.blow.fails_answers]
        completed, unstopped = sum(one.completed for one in usual), sum(one.unstopped for one in usual)
        if completed < _COMPLETED * unstopped:
            others = "; ".join(f"{one.blow}: {one.reasons}" for one in usual if one.completed < one.unstopped)
            raise Broken(f"only {completed} of {unstopped} answers were completed: {others}")
        return after

    async def _given_back(self, before: Rest) -> Rest:
        """Give what is held as soon as it is no more than before, or what it is after a while."""
        after = await at_rest(self.arena)
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_S):
                while after.beyond(before):
                    after = await at_rest(self.arena)
        return after

    def _chance(self) -> random.Random:
        """Chance of its own for each blow, whatever the one before has used."""
        return random.Random(self._rng.getrandbits(64))


async def strike(arena: Arena, blow: Blow, rng: random.Random) -> Aftermath:
    """Let one blow fall while people talk; what must be true is checked when they are done."""
    company = Company(arena.instances, rng, ends_unsaved=blow.hides_database)
    async with asyncio.timeout(_FAULT_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(company.run(_PEOPLE), name="people")
        await company.begun(_PEOPLE // 2)
        async with asyncio.TaskGroup() as blows:
            blows.create_task(_fall(arena, blow.fault, company, rng), name=blow.fault.name)
            if blow.second is not None:
                second = _fall(arena, blow.second, company, rng, rng.uniform(0, _SECOND_AFTER_S))
                blows.create_task(second, name=blow.second.name)
        company.enough = True
    await check(arena, company)
    await check_redis(arena)
    return _aftermath(blow, company)


async def _fall(arena: Arena, fault: Fault, company: Company, rng: random.Random, after: float = 0) -> None:
    await asyncio.sleep(after)
    await fault.strike(arena, company, rng)


def _aftermath(blow: Blow, company: Company) -> Aftermath:
    unstopped = [turn for turn in company.turns if not turn.stopped]
    reasons = [turn.readings[0].end["reason"] for turn in unstopped if turn.readings[0].end]
    return Aftermath(
        blow=blow,
        turns=len(company.turns),
        unstopped=len(unstopped),
        completed=reasons.count("completed"),
        resets=sum(len(received.resets) for turn in company.turns for received in turn.readings),
        longest_wait_s=max(turn.longest_wait for turn in company.turns),
        reasons=tuple(reasons),
    )
