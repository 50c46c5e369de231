"""Titles that a model has made: kept only where nobody has set one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, update

from chatserver.errors import ChatserverError
from chatserver.storage.command import Command, Transaction
from chatserver.storage.numbering import Numbering
from chatserver.storage.tables import conversations

_BY_HAND = select(conversations.c.id).where(conversations.c.title_by_hand)
_GIVE = (
    update(conversations)
    .where(conversations.c.id == bindparam("of_conversation"))
    .values(title=bindparam("new_title"), title_made=True, own_change=bindparam("number"))
)


@dataclass(frozen=True, slots=True)
class GiveTitle(Command[bool]):
    """Give a conversation a title; False where somebody has set one, or it is gone."""

    conversation: str
    title: str

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["GiveTitle"]
    ) -> Sequence[bool | ChatserverError]:
        ids = {command.conversation for command in commands}
        numbering = await Numbering.load(transaction.connection, ids)
        by_hand = await transaction.connection.execute(_BY_HAND.where(conversations.c.id.in_(ids)))
        taken = {row.id for row in by_hand}
        rows: list[dict[str, Any]] = []

        def give(command: GiveTitle) -> bool:
            if command.conversation not in numbering or command.conversation in taken:
                return False
            number = numbering.next(command.conversation)
            rows.append(
                {
                    "of_conversation": command.conversation,
                    "new_title": command.title,
                    "number": number,
                }
            )
            return True

        results = [give(command) for command in commands]
        await transaction.write(_GIVE, rows)
        await numbering.save(transaction)
        return results
