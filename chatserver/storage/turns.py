"""Accepting a turn: the person's message, its answer's place and the generation, all or nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from chatserver.errors import ChatserverError
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane
from chatserver.storage.command import Command, Transaction
from chatserver.storage.records import Accepted, Idempotency, Stored


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
    #: Who runs it at once, where a slot is free; None leaves it queued.
    owner: str | None
    lane: Lane
    ref: str | None
    idempotency: Idempotency | None
    #: Makes the answer that is stored under the key; called only where there is one.
    reply: Callable[[Accepted], Stored]
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["AcceptTurn"]
    ) -> Sequence[Accepted | ChatserverError]:
        raise NotImplementedError
