"""Generations of the server's own, such as for a summary: kept only until they have served."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, insert, select

from chatserver.errors import ChatserverError, NotFound
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Purpose
from chatserver.storage.command import Command, Transaction, plan_each
from chatserver.storage.connection import Connection
from chatserver.storage.instances import owner_lives
from chatserver.storage.records import Generation
from chatserver.storage.rows import new_generation, row_of_generation
from chatserver.storage.tables import conversations, generations

_FORGET = delete(generations).where(
    generations.c.id == bindparam("of_generation"), generations.c.purpose.is_not(None)
)

_FORGET_LEFT = delete(generations).where(generations.c.purpose.is_not(None), ~owner_lives)


@dataclass(frozen=True, slots=True)
class AcceptHousekeeping(Command[Generation]):
    """Accept a generation about a conversation that isn't part of it; NotFound where that is gone."""

    generation_id: str
    principal: Principal
    conversation: str
    purpose: Purpose
    model: str
    request: dict[str, Any]
    owner: str
    #: It runs at once, because a slot is free.
    claimed: bool
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["AcceptHousekeeping"]
    ) -> Sequence[Generation | ChatserverError]:
        there = await _existing(transaction.connection, {command.conversation for command in commands})
        rows: list[dict[str, Any]] = []

        def accept(command: AcceptHousekeeping) -> Generation:
            if command.conversation not in there:
                raise NotFound
            generation = _accepted(command)
            rows.append(row_of_generation(generation))
            return generation

        results = plan_each(accept, commands)
        await transaction.write(insert(generations), rows)
        return results


@dataclass(frozen=True, slots=True)
class ForgetHousekeeping(Command[None]):
    """Remove one that has served."""

    generation_id: str

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["ForgetHousekeeping"]
    ) -> Sequence[ChatserverError | None]:
        await transaction.write(_FORGET, [{"of_generation": command.generation_id} for command in commands])
        return [None] * len(commands)


@dataclass(frozen=True, slots=True)
class ForgetLeftHousekeeping(Command[None]):
    """Remove what processes left of it that are gone: it is made again when there is a reason for it."""

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["ForgetLeftHousekeeping"]
    ) -> Sequence[ChatserverError | None]:
        await transaction.connection.execute(_FORGET_LEFT)
        return [None] * len(commands)


async def _existing(connection: Connection, ids: set[str]) -> set[str]:
    query = select(conversations.c.id).where(conversations.c.id.in_(ids))
    return {row.id for row in await connection.execute(query)}


def _accepted(command: AcceptHousekeeping) -> Generation:
    return new_generation(
        id=command.generation_id,
        principal=command.principal,
        conversation=command.conversation,
        purpose=command.purpose,
        model=command.model,
        request=command.request,
        owner=command.owner,
        claimed=command.claimed,
        lane=Lane.BACKGROUND,
        now_ms=command.now_ms,
    )
