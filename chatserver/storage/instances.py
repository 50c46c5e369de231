"""Which instances live, by the database's clock; and the work of those that don't."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, bindparam, case, delete, exists, insert, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from chatserver.errors import ChatserverError
from chatserver.generation.states import Status
from chatserver.storage.command import Command, Transaction
from chatserver.storage.connection import Connection
from chatserver.storage.database import Database
from chatserver.storage.records import Generation
from chatserver.storage.rows import generation_of, select_generations
from chatserver.storage.tables import generations, instances, unfinished


class now_ms(GenericFunction[int]):  # noqa: N801 - it is written as SQL's functions are
    """Milliseconds since the epoch, by the clock that all instances share."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgresql_now(*_: Any, **__: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


#: Of a generation.
owner_lives = exists().where(instances.c.id == generations.c.owner, instances.c.lease_until > now_ms())
# Housekeeping isn't worth taking over.
_orphaned = unfinished & generations.c.purpose.is_(None) & ~owner_lives
_RENEW = (
    update(instances)
    .where(instances.c.id == bindparam("of_instance"), instances.c.lease_until > now_ms())
    .values(lease_until=now_ms() + bindparam("lease_ms"), connections=bindparam("its_connections"))
)
_RUN_OUT = delete(instances).where(instances.c.id == bindparam("of_instance"))
_JOIN = insert(instances).values(
    id=bindparam("of_instance"),
    lease_until=now_ms() + bindparam("lease_ms"),
    connections=bindparam("its_connections"),
)
#: Leases after which one that died is forgotten.
_REMEMBERED = 100
_FORGET_DEAD = delete(instances).where(
    instances.c.lease_until < now_ms() - _REMEMBERED * bindparam("lease_ms")
)
_ADOPT = (
    update(generations)
    .where(
        generations.c.id == bindparam("of_generation"),
        generations.c.epoch == bindparam("epoch_seen"),
        _orphaned,
    )
    .values(owner=bindparam("new_owner"))
)
_tried = (generations.c.status == Status.RUNNING.value) & (generations.c.attempts > 0)
_HAND_OVER = (
    update(generations)
    .where(
        generations.c.id == bindparam("of_generation"),
        generations.c.owner == bindparam("of_owner"),
        unfinished,
    )
    .values(owner=None, attempts=generations.c.attempts - case((_tried, bindparam("given_back")), else_=0))
)


@dataclass(frozen=True, slots=True)
class KeepAlive(Command[bool]):
    """Live for so many milliseconds more, from now; False where it didn't live just before."""

    instance: str
    lease_ms: int
    #: How many it has now, for whoever wants to know how many there are in all.
    connections: int = 0

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["KeepAlive"]
    ) -> Sequence[bool | ChatserverError]:
        return [await _keep_alive(transaction.connection, command) for command in commands]


async def _keep_alive(connection: Connection, command: KeepAlive) -> bool:
    row = {
        "of_instance": command.instance,
        "lease_ms": command.lease_ms,
        "its_connections": command.connections,
    }
    if (await connection.execute(_RENEW, row)).rowcount:
        return True
    for statement in (_RUN_OUT, _JOIN, _FORGET_DEAD):
        await connection.execute(statement, row)
    return False


@dataclass(frozen=True, slots=True)
class Leave(Command[None]):
    """Live no longer: what this instance has left undone is anybody's."""

    instance: str

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["Leave"]
    ) -> Sequence[ChatserverError | None]:
        gone = {command.instance for command in commands}
        await transaction.connection.execute(delete(instances).where(instances.c.id.in_(gone)))
        return [None] * len(commands)


@dataclass(frozen=True, slots=True)
class HandOver(Command[None]):
    """Leave a generation to whoever takes it first, although its owner lives.

    The attempt that the owner has begun is given back, so that however often work is handed over, its
    attempts are not spent; what `Leave` or a crash leaves behind has used one up.
    """

    generation_id: str
    owner: str
    #: The owner has claimed it to try it. What it only waited with, another one's attempt has counted.
    tried: bool = True

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["HandOver"]
    ) -> Sequence[ChatserverError | None]:
        rows = [
            {"of_generation": one.generation_id, "of_owner": one.owner, "given_back": int(one.tried)}
            for one in sorted(commands, key=lambda one: one.generation_id)
        ]
        await transaction.write(_HAND_OVER, rows)
        return [None] * len(commands)


@dataclass(frozen=True, slots=True)
class Adopt(Command[Generation | None]):
    """Take in what a dead owner has left; None where somebody else was faster, or the owner lives again.

    It is claimed later, when there is a slot for it: until then an owner that only seemed dead may end it.
    """

    generation_id: str
    epoch_seen: int
    owner: str

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["Adopt"]
    ) -> Sequence[Generation | ChatserverError | None]:
        adopted = [command for command in commands if await _adopt(transaction, command)]
        ids = {command.generation_id for command in adopted}
        found = await transaction.connection.execute(select_generations().where(generations.c.id.in_(ids)))
        records = {row.id: generation_of(row) for row in found}
        return [records[command.generation_id] if command in adopted else None for command in commands]


async def _adopt(transaction: Transaction, command: Adopt) -> bool:
    row = {
        "of_generation": command.generation_id,
        "epoch_seen": command.epoch_seen,
        "new_owner": command.owner,
    }
    return (await transaction.connection.execute(_ADOPT, row)).rowcount == 1


@dataclass(frozen=True, slots=True)
class Orphan:
    generation: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Living:
    """The instances that live, and what they said last of their connections."""

    instances: int
    connections: int


class Instances:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def others(self, name: str) -> int:
        """How many other instances there are, those included that have ended without saying so."""
        return len(await self._database.rows(select(instances.c.id).where(instances.c.id != name)))

    async def living(self) -> Living:
        query = select(instances.c.connections).where(instances.c.lease_until > now_ms())
        rows = await self._database.rows(query)
        return Living(len(rows), sum(row.connections for row in rows))

    async def orphans(self, most: int, *, handed_over: bool = False) -> list[Orphan]:
        """Unfinished work whose owner doesn't live, oldest first; or only that which was handed over."""
        query = select(generations.c.id, generations.c.epoch).where(_orphaned)
        if handed_over:
            query = query.where(generations.c.owner.is_(None))
        rows = await self._database.rows(query.order_by(generations.c.id).limit(most))
        return [Orphan(row.id, row.epoch) for row in rows]

    async def owned(self, name: str) -> list[str]:
        """What an instance has to bring to its end."""
        query = select(generations.c.id).where(
            generations.c.owner == name, unfinished, generations.c.purpose.is_(None)
        )
        return [row.id for row in await self._database.rows(query)]

    async def cancelled(self, owner: str) -> list[str]:
        """What an instance works on and is to end: the hint may have been lost."""
        query = select(generations.c.id).where(generations.c.owner == owner, generations.c.cancel, unfinished)
        return [row.id for row in await self._database.rows(query)]

    async def runs(self, generation: str, epoch: int) -> bool:
        """Whether a generation hasn't ended, and nobody has claimed it since that epoch."""
        query = select(generations.c.id).where(
            generations.c.id == generation, generations.c.epoch == epoch, unfinished
        )
        return bool(await self._database.rows(query))
