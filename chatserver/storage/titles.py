"""Titles that a model has made: kept only where nobody has set one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, update

from chatserver.errors import ChatserverError
from chatserver.generation.principal import Principal
from chatserver.storage.command import Command, Transaction
from chatserver.storage.entries import Title, replace_titles
from chatserver.storage.numbering import Numbering
from chatserver.storage.tables import conversations

_TITLED = select(*(conversations.c[name] for name in ("id", "tenant", "user", "title_by_hand")))
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
        found = await transaction.connection.execute(_TITLED.where(conversations.c.id.in_(ids)))
        owners = {row.id: Principal(row.tenant, row.user) for row in found if not row.title_by_hand}
        rows: list[dict[str, Any]] = []
        titles: list[Title] = []

        def give(command: GiveTitle) -> bool:
            owner = owners.get(command.conversation)
            if owner is None:
                return False
            titles.append((owner, command.conversation, command.title))
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
        await replace_titles(transaction, titles)
        await numbering.save(transaction)
        return results
