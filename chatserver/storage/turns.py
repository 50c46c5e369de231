"""Accepting a turn: the person's message, its answer's place and the generation, all or nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from sqlalchemy import select

from chatserver.errors import ChatserverError, Invalid, ModelChanged, NotFound, TurnInProgress
from chatserver.generation.principal import Principal
from chatserver.generation.states import UNFINISHED, Lane, Status
from chatserver.storage.acceptances import Acceptances
from chatserver.storage.among import among
from chatserver.storage.answers import Answers
from chatserver.storage.command import Command, Transaction, plan_each
from chatserver.storage.connection import Connection
from chatserver.storage.entries import Entries
from chatserver.storage.messages import Fork, versions
from chatserver.storage.numbering import Numbering
from chatserver.storage.records import Accepted, Chosen, Counted, Generation, Idempotency, Message, Stored
from chatserver.storage.rows import (
    columns_of_count,
    row_of_message,
    select_conversations,
)
from chatserver.storage.tables import conversations, generations, messages

_PARENTS = (
    select(
        messages.c.id,
        messages.c.conversation,
        messages.c.role,
        messages.c.depth,
        generations.c.id.label("generation"),
        generations.c.status,
    )
    .outerjoin(generations, generations.c.message == messages.c.id)
    .where(among(messages.c.id, "ids"))
)
# Locked in one order, where a database has row locks.
_TARGETS = (
    select_conversations()
    .where(among(conversations.c.id, "ids"))
    .order_by(conversations.c.id)
    .with_for_update()
)


class Current(Enum):
    """Stands for the conversation's current leaf as a parent."""

    LEAF = "leaf"


@dataclass(frozen=True, slots=True)
class AcceptTurn(Command[Accepted]):
    principal: Principal
    conversation: str
    content: str
    #: An answer of the conversation; None begins a new branch at the root.
    parent: str | Current | None
    model: str
    request: dict[str, Any]
    message_id: str
    answer_id: str
    generation_id: str
    #: Where it waits or runs.
    owner: str
    #: A slot is free for it, so that accepting it claims it as well.
    claimed: bool
    lane: Lane
    ref: str | None
    idempotency: Idempotency | None
    #: What the conversation is called from now on if it has no title yet.
    title: str
    #: Makes the answer that is stored under the key; called only where there is one.
    reply: Callable[[Accepted], Stored]
    now_ms: int
    #: Of the content, where its counter was at hand.
    counted: Counted | None = None
    #: What the model follows from, where that was only remembered: it has to be so still.
    assumed: Chosen | None = None

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["AcceptTurn"]
    ) -> Sequence[Accepted | ChatserverError]:
        connection = transaction.connection
        plan = await _Plan.load(connection, commands)
        results = plan_each(plan.accept, commands)
        await plan.save(transaction)
        return results


@dataclass(frozen=True, slots=True)
class _Parent:
    conversation: str
    role: str
    depth: int | None
    generation: str | None
    #: Of the generation.
    status: str | None


@dataclass(slots=True)
class _Target:
    """A conversation that turns are accepted into."""

    principal: Principal
    chosen: Chosen
    leaf: str | None


class _Plan:
    """What a batch of turns finds, and what is to be written for it. Turns see those before them."""

    def __init__(
        self,
        *,
        acceptances: Acceptances,
        targets: dict[str, _Target],
        parents: dict[str, _Parent],
        beside: dict[Fork, list[str]],
        numbering: Numbering,
        entries: Entries,
    ) -> None:
        self._acceptances = acceptances
        self._targets = targets
        self._parents = parents
        self._beside = beside
        self._numbering = numbering
        self._answers = Answers(numbering)
        self._entries = entries
        self._depths = {message: parent.depth for message, parent in parents.items()}

    @classmethod
    async def load(cls, connection: Connection, commands: Sequence[AcceptTurn]) -> Self:
        ids = {command.conversation for command in commands}
        rows = (await connection.execute(_TARGETS, {"ids": list(ids)})).all()
        # Only now: the same turn may just have been accepted by another process.
        acceptances = await Acceptances.load(connection, commands)
        targets = {
            row.id: _Target(Principal(row.tenant, row.user), Chosen(row.model), row.leaf) for row in rows
        }
        numbering = Numbering({row.id: row.change for row in rows})
        named = {command.parent for command in commands if isinstance(command.parent, str)}
        parents = await _load_parents(connection, named | {row.leaf for row in rows if row.leaf})
        # What has no leaf has no messages, and nothing to be found by either.
        begun = {row.id for row in rows if row.leaf}
        forks = {(parent.conversation, message) for message, parent in parents.items()}
        anew = {command.conversation for command in commands if command.parent is None} & begun
        beside = await versions(connection, forks | {(conversation, None) for conversation in anew})
        entries = await Entries.load(connection, begun)
        return cls(
            acceptances=acceptances,
            targets=targets,
            parents=parents,
            beside=beside,
            numbering=numbering,
            entries=entries,
        )

    def accept(self, command: AcceptTurn) -> Accepted:
        repeated = self._acceptances.repeat(command)
        if repeated is not None:
            return repeated
        question = self._add_question(command, self._checked_parent(command))
        generation = self._add_answer(command)
        accepted = Accepted(question, generation)
        self._acceptances.add(command, accepted)
        return accepted

    async def save(self, transaction: Transaction) -> None:
        await self._answers.save(transaction, self._entries.write())
        await self._acceptances.save(transaction)

    def _checked_parent(self, command: AcceptTurn) -> str | None:
        target = self._targets.get(command.conversation)
        if target is None or target.principal != command.principal:
            raise NotFound
        if command.assumed not in {None, target.chosen}:
            raise ModelChanged
        chosen = target.leaf if command.parent is Current.LEAF else command.parent
        if chosen is None:
            return None
        parent = self._parents.get(chosen)
        if parent is None or parent.conversation != command.conversation:
            raise NotFound
        if parent.role != "assistant":
            raise Invalid("A message follows an answer; this parent is none.", field="parent")
        if parent.generation is not None and parent.status in UNFINISHED:
            raise TurnInProgress(parent.generation)
        return chosen

    def _add_question(self, command: AcceptTurn, parent: str | None) -> Message:
        beside = self._beside[command.conversation, parent]
        beside.append(command.message_id)
        message = Message(
            id=command.message_id,
            conversation=command.conversation,
            parent=parent,
            role="user",
            content=command.content,
            model=None,
            ref=command.ref,
            change=self._numbering.next(command.conversation),
            created_at=command.now_ms,
            status=Status.COMPLETED,
            generation=None,
            versions=tuple(beside),
        )
        self._entries.add(command.principal, command.conversation, command.content)
        row = {**row_of_message(message), "depth": self._deeper(parent, message.id)}
        self._answers.messages.append(row | columns_of_count(command.counted))
        return message

    def _add_answer(self, command: AcceptTurn) -> Generation:
        conversation, answer = command.conversation, command.answer_id
        depth = self._deeper(command.message_id, answer)
        generation = self._answers.add(command, command.message_id, depth, title=command.title)
        # What the turns after it find.
        self._beside[conversation, command.message_id] = [answer]
        self._targets[conversation].leaf = answer
        self._parents[answer] = _Parent(conversation, "assistant", depth, generation.id, generation.status)
        return generation

    def _deeper(self, parent: str | None, message: str) -> int | None:
        """Say how deep in its branch a message below this parent is."""
        above = 0 if parent is None else self._depths[parent]
        depth = self._depths[message] = None if above is None else above + 1
        return depth


async def _load_parents(connection: Connection, ids: set[str]) -> dict[str, _Parent]:
    if not ids:
        return {}
    rows = await connection.execute(_PARENTS, {"ids": list(ids)})
    return {
        row.id: _Parent(row.conversation, row.role, row.depth, row.generation, row.status) for row in rows
    }
