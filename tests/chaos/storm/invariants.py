"""What must be true whatever has happened."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from chatserver.backplane.redis.link import CONNECTIONS
from loadtests.holdings import Holdings, inspecting
from tests.chaos.storm.arena import Arena, Instance
from tests.chaos.storm.people import Company, Turn
from tests.harness.processes import simulator_stats
from tests.harness.received import text_sha256

_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chatserver'"

_ENDED = """
SELECT g.id, g.status, g.reason, g.sha256, g.final_epoch || '.' || g.final_n, m.ref,
    encode(sha256(convert_to(coalesce(a.content, g.result, ''), 'UTF8')), 'hex')
FROM generations g
LEFT JOIN messages a ON a.id = g.message
LEFT JOIN messages m ON m.id = a.parent
WHERE g.conversation IN ({conversations}) AND g.purpose IS NULL
"""

#: Seconds until every end is saved, and between two looks.
_SAVED_S = 20
_LOOK_S = 0.2


class Broken(AssertionError):
    """Something that must always be true isn't."""


async def check(arena: Arena, company: Company) -> None:
    """Hold what people have read against the store, and what was shared against the rules of the log."""
    rows = await _saved(arena, company)
    await arena.witness.caught_up()
    broken = [*_unlike_stored(company.turns, rows), *arena.witness.forget()]
    if broken:
        raise Broken("\n".join(broken))


async def _saved(arena: Arena, company: Company) -> list[list[str]]:
    """Read what is stored, as soon as no end is missing: one may have been shown before."""
    names = ", ".join(f"'{one}'" for one in company.conversations)
    async with asyncio.timeout(_SAVED_S):
        while True:
            rows = await asyncio.to_thread(arena.rows, _ENDED.format(conversations=names))
            if all(row[2] for row in rows):
                return rows
            await asyncio.sleep(_LOOK_S)


def _unlike_stored(turns: Sequence[Turn], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    stored = {row[0]: row[1:] for row in rows}
    asked = Counter(row[5] for row in rows)
    unlike = stored.keys() ^ {turn.generation for turn in turns}
    yield from (f"{generation}: only stored, or only accepted" for generation in sorted(unlike))
    yield from (f"asked {count} times: {key}" for key, count in asked.items() if count != 1)
    for turn in turns:
        for received in turn.readings:
            status, reason, digest, final, key, text = stored.get(turn.generation, [""] * 6)
            assert received.end is not None
            read = [received.end["reason"], received.end["sha256"], received.after, turn.key]
            if read != [reason, digest, final, key] or digest != text:
                yield f"{turn.generation}: read {read}, stored {[status, reason, digest, final, key, text]}"
            if text_sha256(received.answer) != digest:
                yield f"{turn.generation}: the text isn't what was stored"


async def check_redis(arena: Arena) -> None:
    """Nothing stays in Redis for ever."""
    async with arena.redis.client() as redis:
        for_ever = [key async for key in redis.scan_iter() if await redis.pttl(key) == -1]
    if for_ever:
        raise Broken(f"for ever in Redis: {for_ever}")


@dataclass(frozen=True)
class Rest:
    """What is held while nobody asks or reads."""

    instances: int
    #: Of the instance that holds most of each.
    tasks: int
    sockets: int
    files: int
    #: Connections of all instances.
    to_redis: int
    to_postgres: int

    def beyond(self, before: "Rest") -> dict[str, int]:
        """Tell what there is more of than before; those to Redis are made when they are needed."""
        now, then = asdict(self), asdict(before)
        then["sockets"] += CONNECTIONS
        then["to_redis"] = self.instances * (CONNECTIONS + 1)
        return {name: now[name] - then[name] for name in now if now[name] > then[name]}


async def at_rest(arena: Arena) -> Rest:
    """Wait until nothing is made any more, anywhere, and nobody holds a slot; then look."""
    await simulator_stats(arena.model.url, in_flight=0)
    held = [await _held(instance) for instance in arena.instances]
    if slots := sum(one.slots for one in held):
        raise Broken(f"{slots} slots are taken for nothing")
    async with arena.redis.client() as redis:
        clients = [client for client in await redis.client_list() if client["name"] == "chatserver"]
    sessions = await asyncio.to_thread(arena.rows, _SESSIONS)
    return Rest(
        instances=len(held),
        tasks=max(one.tasks for one in held),
        sockets=max(one.sockets for one in held),
        files=max(one.files for one in held),
        to_redis=len(clients),
        to_postgres=int(sessions[0][0]),
    )


async def _held(instance: Instance) -> Holdings:
    async with inspecting(instance.process.url, instance.process.pid) as inspector:
        return await inspector.at_rest()


async def check_ends(arena: Arena) -> None:
    """Every instance leaves when it is told to, and had nothing to complain about."""
    codes = await asyncio.gather(*(instance.process.terminate() for instance in arena.instances))
    if any(codes):
        raise Broken(f"ended with {codes}")
    complaints = [line for instance in arena.instances for line in instance.process.complaints]
    if complaints:
        raise Broken("\n".join(complaints))
