"""Accepting another answer to a question that has one, beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import select

from chatserver.errors import ChatserverError, Invalid, NotFound, TurnInProgress
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane
from chatserver.storage.acceptances import Acceptances
from chatserver.storage.answers import Answers
from chatserver.storage.command import Command, Transaction, plan_each
from chatserver.storage.connection import Connection
from chatserver.storage.numbering import Numbering
from chatserver.storage.records import Accepted, Idempotency, Stored
from chatserver.storage.rows import select_conversations
from chatserver.storage.tables import conversations, generations, messages, unfinished

_NAMED = select(*(messages.c[name] for name in ("id", "conversation", "parent", "role", "depth")))
_IN_PROGRESS = (
    select(messages.c.parent, generations.c.id)
    .join(generations, generations.c.message == messages.c.id)
    .where(unfinished)
)


@dataclass(frozen=True, slots=True)
class Regenerate(Command[Accepted]):
    principal: Principal
    conversation: str
    #: The answer beside which another one is made.
    beside: str
    model: str
    request: dict[str, Any]
    answer_id: str
    generation_id: str
    owner: str
    claimed: bool
    lane: Lane
    #: The generation that failed, where this is to make good for it.
    retry_of: str | None
    idempotency: Idempotency | None
    #: Makes the answer that is stored under the key; called only where there is one.
    reply: Callable[[Accepted], Stored]
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["Regenerate"]
    ) -> Sequence[Accepted | ChatserverError]:
        connection = transaction.connection
        plan = await _Plan.load(connection, commands)
        results = plan_each(plan.accept, commands)
        await plan.save(transaction)
        return results


@dataclass(frozen=True, slots=True)
class _Named:
    conversation: str
    #: The question.
    parent: str | None
    role: str
    depth: int | None


class _Plan:
    """What a batch finds, and what is to be written for it. Each sees those before it."""

    def __init__(
        self,
        acceptances: Acceptances,
        owners: dict[str, Principal],
        named: dict[str, _Named],
        in_progress: dict[str, str],
        answers: Answers,
    ) -> None:
        self._acceptances = acceptances
        self._owners = owners
        self._named = named
        #: Question -> the generation that is answering it.
        self._in_progress = in_progress
        self._answers = answers

    @classmethod
    async def load(cls, connection: Connection, commands: Sequence[Regenerate]) -> Self:
        ids = {command.conversation for command in commands}
        query = select_conversations().where(conversations.c.id.in_(ids))
        # Locked in one order, where a database has row locks.
        rows = (await connection.execute(query.order_by(conversations.c.id).with_for_update())).all()
        # Only now: the same may just have been accepted by another process.
        acceptances = await Acceptances.load(connection, commands)
        beside = {command.beside for command in commands}
        named = {
            row.id: _Named(row.conversation, row.parent, row.role, row.depth)
            for row in await connection.execute(_NAMED.where(messages.c.id.in_(beside)))
        }
        questions = {each.parent for each in named.values() if each.parent is not None}
        under_way = await connection.execute(_IN_PROGRESS.where(messages.c.parent.in_(questions)))
        return cls(
            acceptances,
            {row.id: Principal(row.tenant, row.user) for row in rows},
            named,
            {row.parent: row.id for row in under_way},
            Answers(Numbering({row.id: row.change for row in rows})),
        )

    async def save(self, transaction: Transaction) -> None:
        await self._answers.save(transaction)
        await self._acceptances.save(transaction)

    def accept(self, command: Regenerate) -> Accepted:
        repeated = self._acceptances.repeat(command)
        if repeated is not None:
            return repeated
        named = self._checked(command)
        assert named.parent is not None
        generation = self._answers.add(command, named.parent, named.depth, retry_of=command.retry_of)
        self._in_progress[named.parent] = generation.id
        accepted = Accepted(None, generation)
        self._acceptances.add(command, accepted)
        return accepted

    def _checked(self, command: Regenerate) -> _Named:
        named = self._named.get(command.beside)
        if self._owners.get(command.conversation) != command.principal:
            raise NotFound
        if named is None or named.conversation != command.conversation:
            raise NotFound
        if named.role != "assistant" or named.parent is None:
            raise Invalid("Only an answer can be made anew; this message is none.", field="message")
        if named.parent in self._in_progress:
            raise TurnInProgress(self._in_progress[named.parent])
        return named
