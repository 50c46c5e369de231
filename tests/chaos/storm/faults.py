"""What can go wrong: each fault is struck, lasts, and is mended; afterwards all is as it was before."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from redis.asyncio import Redis

from tests.chaos.storm.arena import Arena, Instance, begin_again
from tests.chaos.storm.people import Company
from tests.harness.instances import LEASE_S
from tests.harness.relay import Relay

#: Longer than a lease: whoever says nothing for so long is taken for dead.
_DEAD_S = LEASE_S + 0.7
#: Seconds that faults last which are noticed at once, at most.
_SHORT_S = 1.0
#: What Redis keeps for one subscriber at most while it overflows, and what is then published.
_BUFFER, _FLOOD, _MESSAGES = 32 * 1024, 128 * 1024, 40

Strike = Callable[[Arena, Company, random.Random], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    name: str
    #: What it is done to: two faults at once are done to different things.
    part: str
    strike: Strike
    #: The database is away by it: an end may be shown that is only saved when it is back.
    hides_database: bool = False
    #: Answers may fail by it, and say so.
    fails_answers: bool = False


async def _owner_killed(arena: Arena, company: Company, rng: random.Random) -> None:
    with arena.strike(rng, *company.owners()) as instance:
        await instance.process.kill()
        await asyncio.sleep(rng.uniform(0, _DEAD_S))
        await begin_again(instance)


async def _readers_instance_killed(arena: Arena, company: Company, rng: random.Random) -> None:
    owners = company.owners()
    fewest = min(arena.instances, key=owners.count)
    with arena.strike(rng, fewest) as instance:
        await begin_again(instance)


async def _stands_still(arena: Arena, company: Company, rng: random.Random) -> None:
    with arena.strike(rng, *company.owners()) as instance:
        instance.process.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(_DEAD_S + rng.random())
        finally:
            instance.process.signal(signal.SIGCONT)


async def _left(arena: Arena, company: Company, rng: random.Random) -> None:
    with arena.strike(rng, *company.owners()) as instance:
        await _leave_and_come_back(instance)


async def _rolling_restart(arena: Arena, company: Company, rng: random.Random) -> None:
    for one in arena.instances:
        with arena.strike(rng, one) as instance:
            await _leave_and_come_back(instance)


async def _leave_and_come_back(instance: Instance) -> None:
    code = await instance.process.terminate()
    assert code == 0, f"{instance} ended with {code}"
    await begin_again(instance)


def _redis_killed(*, emptied: bool) -> Strike:
    async def strike(arena: Arena, company: Company, rng: random.Random) -> None:
        await arena.redis.kill()
        await asyncio.sleep(rng.uniform(0, _DEAD_S))
        await arena.restart_redis(emptied=emptied)

    return strike


async def _redis_emptied(arena: Arena, company: Company, rng: random.Random) -> None:
    async with arena.redis.client() as redis:
        await redis.flushall()


async def _redis_stands_still(arena: Arena, company: Company, rng: random.Random) -> None:
    arena.redis.pause()
    try:
        await asyncio.sleep(rng.uniform(0.2, 3))
    finally:
        arena.redis.resume()


async def _clients_killed(arena: Arena, company: Company, rng: random.Random) -> None:
    async with arena.redis.client() as redis:
        for _ in range(3):
            for client in await _instances_of(redis):
                if rng.random() < 0.7:
                    await redis.client_kill_filter(_id=client["id"])
            await asyncio.sleep(rng.uniform(0, 0.3))


async def _clients_paused(arena: Arena, company: Company, rng: random.Random) -> None:
    pause_ms, everything = rng.randint(200, 2500), rng.random() < 0.5
    async with arena.redis.client() as redis:
        await redis.client_pause(pause_ms, all=everything)
    await asyncio.sleep(pause_ms / 1000)


async def _subscribers_overflow(arena: Arena, company: Company, rng: random.Random) -> None:
    async with arena.redis.client() as redis:
        await redis.config_set("client-output-buffer-limit", f"pubsub {_BUFFER} 0 0")
        before = {client["id"] for client in await _instances_of(redis)}
        flood = redis.pipeline(transaction=False)
        for _ in range(_MESSAGES):
            flood.publish("chatserver:sentinel", "x" * _FLOOD)
        await flood.execute()
        await asyncio.sleep(rng.uniform(0.1, 0.5))
        after = {client["id"] for client in await _instances_of(redis)}
        assert before - after, "no subscriber was thrown out"
        await redis.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")


async def _instances_of(redis: Redis) -> list[dict[str, str]]:
    return [client for client in await redis.client_list() if client["name"] == "chatserver"]


def _postgres_stopped(stop: str) -> Strike:
    async def strike(arena: Arena, company: Company, rng: random.Random) -> None:
        await asyncio.to_thread(getattr(arena.postgres, stop))
        await asyncio.sleep(rng.uniform(0, _DEAD_S))
        await asyncio.to_thread(arena.postgres.start)

    return strike


#: What a network does, for how many seconds at most.
_Trouble = Callable[[Relay, random.Random], AbstractContextManager[None]]


def _network(
    which: Sequence[str], trouble: _Trouble, least_s: float, most_s: float, *, all_of_them: bool
) -> Strike:
    async def strike(arena: Arena, company: Company, rng: random.Random) -> None:
        with ExitStack() as troubles:
            chosen = troubles.enter_context(arena.strike(rng, *company.owners()))
            for instance in arena.instances if all_of_them else [chosen]:
                for name in which:
                    troubles.enter_context(trouble(getattr(instance, name), rng))
            await asyncio.sleep(rng.uniform(least_s, most_s))

    return strike


def _late(relay: Relay, rng: random.Random) -> AbstractContextManager[None]:
    return relay.late(rng.uniform(0.01, 0.15))


def _held(relay: Relay, _: random.Random) -> AbstractContextManager[None]:
    return relay.holding()


def _dropped(relay: Relay, _: random.Random) -> AbstractContextManager[None]:
    return relay.dropping()


def _cut_off(relay: Relay, _: random.Random) -> AbstractContextManager[None]:
    return relay.cut_off()


def _model_fails(*faults: str) -> Strike:
    async def strike(arena: Arena, company: Company, rng: random.Random) -> None:
        await arena.model_faults(*faults)
        try:
            await asyncio.sleep(_SHORT_S)
        finally:
            await arena.model_faults()

    return strike


_BOTH = ("to_redis", "to_postgres")

FAULTS = (
    Fault("owner killed", "instance", _owner_killed),
    Fault("reader's instance killed", "instance", _readers_instance_killed),
    Fault("instance stands still", "instance", _stands_still),
    Fault("instance leaves", "instance", _left),
    Fault("rolling restart", "instances", _rolling_restart),
    Fault("Redis killed, back with its data", "redis", _redis_killed(emptied=False)),
    Fault("Redis killed, back empty", "redis", _redis_killed(emptied=True)),
    Fault("Redis emptied", "redis", _redis_emptied),
    Fault("Redis stands still", "redis", _redis_stands_still),
    Fault("CLIENT KILL", "redis", _clients_killed),
    Fault("CLIENT PAUSE", "redis", _clients_paused),
    Fault("pub/sub output overflow", "redis", _subscribers_overflow),
    Fault("PostgreSQL killed", "postgres", _postgres_stopped("kill"), hides_database=True),
    Fault("PostgreSQL restarted", "postgres", _postgres_stopped("stop"), hides_database=True),
    Fault("Redis late for all", "network", _network(_BOTH[:1], _late, 0.5, 1.5, all_of_them=True)),
    Fault("Redis held from one", "network", _network(_BOTH[:1], _held, 0.5, 3, all_of_them=False)),
    Fault("Redis drops one", "network", _network(_BOTH[:1], _dropped, 0.5, 3, all_of_them=False)),
    Fault("Redis cut from one", "network", _network(_BOTH[:1], _cut_off, 0.1, 3, all_of_them=False)),
    Fault(
        "PostgreSQL late for all",
        "network",
        _network(_BOTH[1:], _late, 0.5, 1.5, all_of_them=True),
        hides_database=True,
    ),
    Fault(
        "PostgreSQL held from one",
        "network",
        _network(_BOTH[1:], _held, 0.5, 3, all_of_them=False),
        hides_database=True,
    ),
    Fault(
        "PostgreSQL drops one",
        "network",
        _network(_BOTH[1:], _dropped, 0.5, 3, all_of_them=False),
        hides_database=True,
    ),
    Fault(
        "PostgreSQL cut from one",
        "network",
        _network(_BOTH[1:], _cut_off, 0.1, 3, all_of_them=False),
        hides_database=True,
    ),
    Fault(
        "one cut from both",
        "network",
        _network(_BOTH, _cut_off, 0.5, 3, all_of_them=False),
        hides_database=True,
    ),
    Fault(
        "all cut from both",
        "network",
        _network(_BOTH, _cut_off, 0.1, 1.5, all_of_them=True),
        hides_database=True,
    ),
    Fault("model drops", "model", _model_fails("drop:0.5"), fails_answers=True),
    Fault("model stalls", "model", _model_fails("stall:0.3"), fails_answers=True),
    Fault("model refuses", "model", _model_fails("status-503:0.3", "error-line:0.2"), fails_answers=True),
)
