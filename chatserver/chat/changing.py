"""Changing a conversation itself, and deleting it."""

from collections.abc import Mapping
from dataclasses import dataclass

from chatserver.engine.engine import Engine
from chatserver.engine.peers import Peers
from chatserver.generation.principal import Principal
from chatserver.storage.changing import ChangeConversation
from chatserver.storage.deleting import DeleteConversation
from chatserver.storage.records import Conversation
from chatserver.storage.writer import Writer


@dataclass(frozen=True)
class Changing:
    engine: Engine
    peers: Peers
    writer: Writer

    async def change(
        self,
        principal: Principal,
        conversation: str,
        changes: Mapping[str, str | None],
        expected: int | None = None,
    ) -> Conversation:
        """Change what is named; where `expected` is given, only as long as that is its change number."""
        return await self.writer.submit(ChangeConversation(principal, conversation, changes, expected))

    async def delete(self, principal: Principal, conversation: str) -> None:
        """Delete it with all that hangs on it; its answers that are being made end as cancelled."""
        await self.engine.carry(self._delete(principal, conversation))

    async def _delete(self, principal: Principal, conversation: str) -> None:
        generations = await self.writer.submit(DeleteConversation(principal, conversation))
        self.engine.forget(generations)
        for generation in generations:
            self.peers.tell_cancelled(generation)
