"""Generations: accepting handed-in work, and reading any generation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, insert, select

from chatserver.errors import ChatserverError, Invalid, NotFound
from chatserver.generation.ids import GENERATION, is_id
from chatserver.generation.pieces import Channel
from chatserver.generation.principal import Principal
from chatserver.generation.states import UNFINISHED, Lane, Status
from chatserver.storage.acceptances import Acceptances
from chatserver.storage.checkpoints import attempt_of
from chatserver.storage.command import Command, Transaction, plan_each
from chatserver.storage.database import Database
from chatserver.storage.records import Accepted, Generation, Idempotency, Page, Stored, TextSoFar
from chatserver.storage.rows import (
    generation_of,
    list_generations,
    new_generation,
    row_of_generation,
    select_generations,
)
from chatserver.storage.tables import checkpoints, generations, unfinished


@dataclass(frozen=True, slots=True)
class AcceptGeneration(Command[Accepted]):
    principal: Principal
    generation_id: str
    model: str
    request: dict[str, Any]
    #: Where it waits or runs.
    owner: str
    #: A slot is free for it, so that accepting it claims it as well.
    claimed: bool
    lane: Lane
    metadata: dict[str, Any] | None
    expires_at: int | None
    #: The one that failed, where this is to make good for it.
    retry_of: str | None
    idempotency: Idempotency | None
    #: Makes the answer that is stored under the key; called only where there is one.
    reply: Callable[[Accepted], Stored]
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["AcceptGeneration"]
    ) -> Sequence[Accepted | ChatserverError]:
        acceptances = await Acceptances.load(transaction.connection, commands)
        rows: list[dict[str, Any]] = []

        def accept(command: AcceptGeneration) -> Accepted:
            repeated = acceptances.repeat(command)
            if repeated is not None:
                return repeated
            generation = _accepted(command)
            rows.append(row_of_generation(generation))
            accepted = Accepted(None, generation)
            acceptances.add(command, accepted)
            return accepted

        results = plan_each(accept, commands)
        await transaction.write(insert(generations), rows)
        await acceptances.save(transaction)
        return results


def _accepted(command: AcceptGeneration) -> Generation:
    return new_generation(
        id=command.generation_id,
        principal=command.principal,
        model=command.model,
        request=command.request,
        owner=command.owner,
        claimed=command.claimed,
        lane=command.lane,
        metadata=command.metadata,
        expires_at=command.expires_at,
        retry_of=command.retry_of,
        now_ms=command.now_ms,
    )


class Generations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, principal: Principal, generation: str) -> Generation:
        found = await self.find(generation)
        if found is None or found.principal != principal or found.purpose is not None:
            raise NotFound
        return found

    async def page(
        self, principal: Principal, status: Status | None, limit: int, cursor: str | None
    ) -> Page[Generation]:
        """Newest first. Housekeeping is nobody's own work."""
        query = list_generations().where(
            generations.c.tenant == principal.tenant,
            generations.c.user == principal.user,
            generations.c.purpose.is_(None),
        )
        if status is not None:
            query = query.where(generations.c.status == status.value)
        if cursor is not None:
            query = query.where(generations.c.id < _checked(cursor))
        found = await self._load(query.order_by(generations.c.id.desc()).limit(limit + 1))
        items = tuple(found[:limit])
        return Page(items, items[-1].id if len(found) > limit else None)

    async def find(self, generation: str) -> Generation | None:
        """Whoever it belongs to."""
        found = await self._load(select_generations().where(generations.c.id == generation))
        return found[0] if found else None

    async def of_message(self, message: str) -> Generation | None:
        """The one that made an answer, whoever it belongs to."""
        found = await self._load(select_generations().where(generations.c.message == message))
        return found[0] if found else None

    async def unfinished(self, after: str, limit: int) -> list[Generation]:
        """What people asked for and what is queued or running, oldest first, after that one."""
        of_people = unfinished & generations.c.purpose.is_(None)
        query = select_generations().where(of_people, generations.c.id > after)
        return await self._load(query.order_by(generations.c.id).limit(limit))

    async def unfinished_elsewhere(self, principal: Principal, owner: str, most: int) -> int:
        """Count what of somebody's work isn't this owner's to do, up to so many."""
        some = select(generations.c.id).where(
            generations.c.tenant == principal.tenant,
            generations.c.user == principal.user,
            generations.c.status.in_(UNFINISHED),
            generations.c.owner.is_distinct_from(owner),
            generations.c.purpose.is_(None),
        )
        return len(await self._database.rows(some.limit(most)))

    async def ended(self, ids: Sequence[str]) -> list[Generation]:
        """Those of them that have ended."""
        query = list_generations().where(generations.c.id.in_(ids), ~unfinished)
        return await self._load(query)

    async def text_so_far(self, generation: str) -> TextSoFar | None:
        """What the checkpoints hold of its newest attempt under its newest epoch."""
        of_it = checkpoints.c.generation == generation
        newest = select(func.max(checkpoints.c.attempt)).where(of_it).scalar_subquery()
        query = select(checkpoints).where(of_it, checkpoints.c.attempt == newest).order_by(checkpoints.c.seq)
        parts = await self._database.rows(query)
        if not parts:
            return None
        return TextSoFar(
            attempt=attempt_of(parts[0].attempt),
            answer="".join(part.text for part in parts if part.channel == Channel.ANSWER),
            thinking="".join(part.text for part in parts if part.channel == Channel.THINKING),
        )

    async def _load(self, query: Select[Any]) -> list[Generation]:
        return [generation_of(row) for row in await self._database.rows(query)]


def _checked(cursor: str) -> str:
    if not is_id(GENERATION, cursor):
        raise Invalid("A cursor is given back exactly as it was received; this one was not.", field="cursor")
    return cursor
