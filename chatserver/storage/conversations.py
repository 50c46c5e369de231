"""Conversations: beginning one, and reading them by the one they belong to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatserver.errors import ChatserverError
from chatserver.generation.principal import Principal
from chatserver.storage.command import Command, Transaction
from chatserver.storage.database import Database
from chatserver.storage.records import Change, Conversation, Created, Idempotency, Page, Stored


@dataclass(frozen=True, slots=True)
class CreateConversation(Command[Created]):
    id: str
    principal: Principal
    title: str | None
    model: str | None
    system: str | None
    now_ms: int
    idempotency: Idempotency | None
    #: Makes the answer that is stored under the key; called only where there is one.
    reply: Callable[[Conversation], Stored]

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["CreateConversation"]
    ) -> Sequence[Created | ChatserverError]:
        raise NotImplementedError


class Conversations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, principal: Principal, conversation: str) -> Conversation:
        raise NotImplementedError

    async def page(self, principal: Principal, limit: int, cursor: str | None) -> Page[Conversation]:
        """Last active first."""
        raise NotImplementedError

    async def changes(
        self, principal: Principal, conversation: str, after: int | None, limit: int
    ) -> list[Change]:
        """What has changed since, each thing once as it is now, in order of its last change.

        Without `after`: the conversation alone, with its newest number, to go on from.
        """
        raise NotImplementedError
