"""Changing a conversation itself: its title, model, system prompt and leaf."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from sqlalchemy import bindparam, update

from chatserver.errors import ChatserverError, NotFound, PreconditionFailed
from chatserver.generation.principal import Principal
from chatserver.storage.command import Command, Transaction, plan_each
from chatserver.storage.connection import Connection
from chatserver.storage.entries import Title, replace_titles
from chatserver.storage.messages import newest_below
from chatserver.storage.numbering import Numbering
from chatserver.storage.records import Conversation
from chatserver.storage.rows import conversation_of, select_conversations
from chatserver.storage.tables import conversations

#: Columns that somebody may change.
_CHANGEABLE = ("title", "title_by_hand", "title_made", "model", "system", "leaf")
_SAVE = (
    update(conversations)
    .where(conversations.c.id == bindparam("of_conversation"))
    .values(own_change=bindparam("number"), **{name: bindparam(f"new_{name}") for name in _CHANGEABLE})
)


@dataclass(frozen=True, slots=True)
class ChangeConversation(Command[Conversation]):
    """Give a conversation another title, model, system prompt or leaf; the result is as it is then."""

    principal: Principal
    conversation: str
    #: What is to be different; what isn't named stays. A leaf stands for the newest message below it.
    changes: Mapping[str, str | None]
    #: The change number it must still have, where that matters.
    expected: int | None = None

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["ChangeConversation"]
    ) -> Sequence[Conversation | ChatserverError]:
        plan = await _Plan.load(transaction.connection, commands)
        results = plan_each(plan.change, commands)
        await plan.save(transaction)
        return results


class _Plan:
    """What a batch of changes finds, and what is to be written for it. Changes see those before them."""

    def __init__(
        self,
        conversations: dict[str, Conversation],
        leaves: dict[tuple[str, str], str | None],
        numbering: Numbering,
    ) -> None:
        self._conversations = conversations
        #: What a named leaf stands for.
        self._leaves = leaves
        self._numbering = numbering
        self._changed: set[str] = set()
        self._retitled: dict[str, Title] = {}

    @classmethod
    async def load(cls, connection: Connection, commands: Sequence[ChangeConversation]) -> Self:
        ids = {command.conversation for command in commands}
        numbering = await Numbering.load(connection, ids)
        rows = await connection.execute(select_conversations().where(conversations.c.id.in_(ids)))
        named = {(command.conversation, command.changes.get("leaf")) for command in commands}
        leaves = {
            (conversation, leaf): await newest_below(connection, conversation, leaf)
            for conversation, leaf in named
            if leaf is not None
        }
        return cls({row.id: conversation_of(row) for row in rows}, leaves, numbering)

    def change(self, command: ChangeConversation) -> Conversation:
        before = self._conversations.get(command.conversation)
        if before is None or before.principal != command.principal:
            raise NotFound
        if command.expected is not None and command.expected != before.change:
            raise PreconditionFailed(change=before.change)
        after = replace(before, **self._wanted(command))
        # Nobody is told of a change that is none.
        if after == before:
            return before
        number = self._numbering.next(after.id)
        self._changed.add(after.id)
        if after.title != before.title:
            self._retitled[after.id] = (after.principal, after.id, after.title)
        self._conversations[after.id] = replace(after, change=number, own_change=number)
        return self._conversations[after.id]

    async def save(self, transaction: Transaction) -> None:
        await transaction.write(_SAVE, [_row(self._conversations[changed]) for changed in self._changed])
        await replace_titles(transaction, list(self._retitled.values()))
        await self._numbering.save(transaction)

    def _wanted(self, command: ChangeConversation) -> dict[str, Any]:
        wanted: dict[str, Any] = dict(command.changes)
        if "title" in wanted:
            wanted["title_by_hand"] = wanted["title"] is not None
            wanted["title_made"] = False
        if "leaf" in wanted:
            wanted["leaf"] = self._leaves[command.conversation, wanted["leaf"]]
            if wanted["leaf"] is None:
                raise NotFound("This conversation has no such message.", field="leaf")
        return wanted


def _row(conversation: Conversation) -> dict[str, Any]:
    changed = {f"new_{name}": getattr(conversation, name) for name in _CHANGEABLE}
    return {"of_conversation": conversation.id, "number": conversation.own_change, **changed}
