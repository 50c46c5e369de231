"""Idempotency keys: the answer given to a request, kept so that a repeat gets the same one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from sqlalchemy import Row, bindparam, delete, insert, select, tuple_

from chatserver.errors import ChatserverError, KeyReused
from chatserver.generation.principal import Principal
from chatserver.storage.command import Command, Transaction
from chatserver.storage.connection import Connection
from chatserver.storage.database import Database
from chatserver.storage.records import Idempotency, Stored
from chatserver.storage.tables import idempotency

KEPT_MS = 24 * 60 * 60 * 1000

_Name = tuple[str, str, str]
_name = tuple_(idempotency.c.tenant, idempotency.c.user, idempotency.c.key)
_FORGET = delete(idempotency).where(
    idempotency.c.tenant == bindparam("of_tenant"),
    idempotency.c.user == bindparam("of_user"),
    idempotency.c.key == bindparam("of_key"),
)


class Keyed(Protocol):
    """A command that may carry a key."""

    @property
    def principal(self) -> Principal: ...
    @property
    def idempotency(self) -> Idempotency | None: ...
    @property
    def now_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What a key stands for: the answer, and the id of what was made under it."""

    fingerprint: str
    stored: Stored
    conversation: str | None
    generation: str | None
    created_at: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A key that is looked up outside of any command."""

    principal: Principal
    idempotency: Idempotency
    now_ms: int


class Keys:
    """The keys that a batch of commands uses, as they are and as they become."""

    def __init__(self, known: dict[_Name, Known]) -> None:
        self._known = known
        self._outdated: list[_Name] = []
        self._new: dict[_Name, Known] = {}

    @classmethod
    async def load(cls, connection: Connection, commands: Iterable[Keyed]) -> Self:
        names = {_name_of(command, command.idempotency) for command in commands if command.idempotency}
        if not names:
            return cls({})
        rows = await connection.execute(select(idempotency).where(_name.in_(names)))
        return cls({(row.tenant, row.user, row.key): _known(row) for row in rows})

    def find(self, command: Keyed) -> Known | None:
        """What the command's key stands for, if it was used in the last 24 hours."""
        if command.idempotency is None:
            return None
        name = _name_of(command, command.idempotency)
        known = self._known.get(name)
        if known is None:
            return None
        if known.created_at <= command.now_ms - KEPT_MS:
            self._outdated.append(name)
            del self._known[name]
            return None
        if known.fingerprint != command.idempotency.fingerprint:
            raise KeyReused
        return known

    def remember(
        self,
        command: Keyed,
        reply: Callable[[], Stored],
        *,
        conversation: str | None = None,
        generation: str | None = None,
    ) -> None:
        """Keep what `reply` makes under the command's key, if it has one."""
        if command.idempotency is None:
            return
        known = Known(command.idempotency.fingerprint, reply(), conversation, generation, command.now_ms)
        name = _name_of(command, command.idempotency)
        self._known[name] = self._new[name] = known

    def made(self) -> list[Known]:
        """What was made under the keys that are known."""
        return list(self._known.values())

    async def save(self, transaction: Transaction) -> None:
        outdated = [
            {"of_tenant": tenant, "of_user": user, "of_key": key} for tenant, user, key in self._outdated
        ]
        await transaction.write(_FORGET, outdated)
        await transaction.write(insert(idempotency), [_row(name, known) for name, known in self._new.items()])


class Repeats:
    """Finds the answer that a request got before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, principal: Principal, idempotency: Idempotency, now_ms: int) -> Stored | None:
        """Give that answer, or None; KeyReused where the key stands for something else."""
        asked = Asked(principal, idempotency, now_ms)
        keys = await self._database.read(lambda connection: Keys.load(connection, [asked]))
        known = keys.find(asked)
        return known.stored if known else None


@dataclass(frozen=True, slots=True)
class ForgetKeys(Command[int]):
    """Remove keys that were used before; the result says how many."""

    before_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["ForgetKeys"]
    ) -> Sequence[int | ChatserverError]:
        counts = []
        for command in commands:
            forgotten = delete(idempotency).where(idempotency.c.created_at < command.before_ms)
            counts.append((await transaction.connection.execute(forgotten)).rowcount)
        return counts


def _name_of(command: Keyed, given: Idempotency) -> _Name:
    return command.principal.tenant, command.principal.user, given.key


def _known(row: Row[Any]) -> Known:
    stored = Stored(row.status, row.body.encode())
    return Known(row.fingerprint, stored, row.conversation, row.generation, row.created_at)


def _row(name: _Name, known: Known) -> dict[str, Any]:
    return {
        "tenant": name[0],
        "user": name[1],
        "key": name[2],
        "fingerprint": known.fingerprint,
        "status": known.stored.status,
        "body": known.stored.body.decode(),
        "conversation": known.conversation,
        "generation": known.generation,
        "created_at": known.created_at,
    }
