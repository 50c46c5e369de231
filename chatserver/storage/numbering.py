"""Change numbers: each conversation counts what changes in it, and every change gets a number of its own."""

from collections.abc import Iterable, Mapping
from typing import Self

from sqlalchemy import bindparam, select, update

from chatserver.storage.among import among
from chatserver.storage.command import Transaction
from chatserver.storage.connection import Connection
from chatserver.storage.tables import conversations

# Locked in one order, where a database has row locks.
_COUNTERS = (
    select(conversations.c.id, conversations.c.change)
    .where(among(conversations.c.id, "ids"))
    .order_by(conversations.c.id)
    .with_for_update()
)
_SAVE = (
    update(conversations)
    .where(conversations.c.id == bindparam("of_conversation"))
    .values(change=bindparam("newest"))
)


class Numbering:
    """Gives out numbers within one transaction, which `save` has to follow."""

    def __init__(self, newest: Mapping[str, int]) -> None:
        #: Conversation -> the highest number given so far.
        self._newest = dict(newest)
        self._changed: set[str] = set()
        self._saved: set[str] = set()

    @classmethod
    async def load(cls, connection: Connection, ids: Iterable[str]) -> Self:
        wanted = set(ids)
        if not wanted:
            return cls({})
        rows = await connection.execute(_COUNTERS, {"ids": list(wanted)})
        return cls({row.id: row.change for row in rows})

    def __contains__(self, conversation: str) -> bool:
        return conversation in self._newest

    def next(self, conversation: str) -> int:
        self._newest[conversation] += 1
        self._changed.add(conversation)
        return self._newest[conversation]

    def newest(self, conversation: str) -> int:
        """Give the highest number given so far, to be saved with something else of the conversation."""
        self._saved.add(conversation)
        return self._newest[conversation]

    async def save(self, transaction: Transaction) -> None:
        """Keep what isn't saved with something else, and tell who has changed."""
        changed = {conversation: self._newest[conversation] for conversation in self._changed}
        rows = [
            {"of_conversation": name, "newest": number}
            for name, number in changed.items()
            if name not in self._saved
        ]
        await transaction.write(_SAVE, rows)
        transaction.changes.update(changed)
