"""A conversation whole, every branch of it, in pages that never grow with it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select

from chatserver.generation.principal import Principal
from chatserver.storage.connection import Connection
from chatserver.storage.conversations import find_conversation
from chatserver.storage.database import Database
from chatserver.storage.messages import load_messages
from chatserver.storage.records import Message
from chatserver.storage.rows import select_messages
from chatserver.storage.tables import generations, messages, unfinished


@dataclass(frozen=True, slots=True)
class Section:
    messages: tuple[Message, ...]
    #: The change number after which to go on; None at the end.
    next: int | None


class Exports:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def section(self, principal: Principal, conversation: str, after: int, limit: int) -> Section:
        """The messages that are complete and last changed after that number, in this order.

        The last section ends with the answers that are still being made. So each message is there once,
        whatever happens between two sections, and below the one that it follows.
        """

        async def read(connection: Connection) -> Section:
            # Each time, so that one that is deleted meanwhile doesn't look as if it ended here.
            await find_conversation(connection, principal, conversation)
            complete = await _complete(connection, conversation, after, limit)
            if len(complete) == limit:
                return Section(tuple(complete), complete[-1].change)
            return Section((*complete, *await _being_made(connection, conversation)), None)

        return await self._database.read(read)

    async def openings(self, ids: Collection[str], characters: int) -> dict[str, str]:
        """How some messages begin."""
        query = select(messages.c.id, func.substr(messages.c.content, 1, characters).label("opening"))
        rows = await self._database.rows(query.where(messages.c.id.in_(ids)))
        return {row.id: row.opening for row in rows}


async def _complete(connection: Connection, conversation: str, after: int, limit: int) -> list[Message]:
    query = select_messages().where(
        messages.c.conversation == conversation,
        messages.c.change > after,
        # What a person wrote has no generation.
        or_(generations.c.id.is_(None), ~unfinished),
    )
    rows = await connection.execute(query.order_by(messages.c.change).limit(limit))
    return await load_messages(rows.all(), connection)


async def _being_made(connection: Connection, conversation: str) -> Sequence[Message]:
    made = select(generations.c.message).where(generations.c.conversation == conversation, unfinished)
    rows = await connection.execute(select_messages().where(messages.c.id.in_(made)))
    return await load_messages(rows.all(), connection)
