"""Generations: accepting handed-in work, and reading any generation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chatserver.errors import ChatserverError
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Status
from chatserver.storage.command import Command, Transaction
from chatserver.storage.database import Database
from chatserver.storage.records import Accepted, Generation, Idempotency, Page, Stored, TextSoFar


@dataclass(frozen=True, slots=True)
class AcceptGeneration(Command[Accepted]):
    principal: Principal
    generation_id: str
    model: str
    request: dict[str, Any]
    #: Who runs it at once, where a slot is free; None leaves it queued.
    owner: str | None
    lane: Lane
    metadata: dict[str, Any] | None
    expires_at: int | None
    idempotency: Idempotency | None
    #: Makes the answer that is stored under the key; called only where there is one.
    reply: Callable[[Accepted], Stored]
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["AcceptGeneration"]
    ) -> Sequence[Accepted | ChatserverError]:
        raise NotImplementedError


class Generations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, principal: Principal, generation: str) -> Generation:
        raise NotImplementedError

    async def page(
        self, principal: Principal, status: Status | None, limit: int, cursor: str | None
    ) -> Page[Generation]:
        """Newest first."""
        raise NotImplementedError

    async def find(self, generation: str) -> Generation | None:
        """Whoever it belongs to."""
        raise NotImplementedError

    async def unfinished(self) -> list[Generation]:
        """All that is queued or running, oldest first."""
        raise NotImplementedError

    async def text_so_far(self, generation: str) -> TextSoFar | None:
        """What the checkpoints hold of its newest attempt."""
        raise NotImplementedError
