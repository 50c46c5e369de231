"""Deleting a conversation with all that hangs on it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select

from chatserver.errors import ChatserverError, NotFound
from chatserver.generation.principal import Principal
from chatserver.storage.command import Command, Transaction, plan_each
from chatserver.storage.connection import Connection
from chatserver.storage.rows import conversation_of, select_conversations
from chatserver.storage.tables import conversations, generations

_MADE = select(generations.c.id, generations.c.conversation).order_by(generations.c.id)
_DELETE = delete(conversations).where(conversations.c.id == bindparam("of_conversation"))


@dataclass(frozen=True, slots=True)
class DeleteConversation(Command[tuple[str, ...]]):
    """Remove a conversation; the result names its generations, those that still run among them."""

    principal: Principal
    conversation: str

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["DeleteConversation"]
    ) -> Sequence[tuple[str, ...] | ChatserverError]:
        connection = transaction.connection
        ids = {command.conversation for command in commands}
        # Locked in the order in which whoever ends a generation locks them.
        made = await _generations_of(connection, ids)
        query = select_conversations().where(conversations.c.id.in_(ids)).order_by(conversations.c.id)
        found = {row.id: conversation_of(row) for row in await connection.execute(query.with_for_update())}
        gone: dict[str, int] = {}

        def remove(command: DeleteConversation) -> tuple[str, ...]:
            conversation = found.get(command.conversation)
            if conversation is None or conversation.principal != command.principal:
                raise NotFound
            gone[conversation.id] = found.pop(conversation.id).change + 1
            return tuple(made[conversation.id])

        results = plan_each(remove, commands)
        await transaction.write(_DELETE, [{"of_conversation": conversation} for conversation in gone])
        transaction.changes.update(gone)
        return results


async def _generations_of(connection: Connection, ids: Iterable[str]) -> defaultdict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    query = _MADE.where(generations.c.conversation.in_(ids)).with_for_update()
    for row in await connection.execute(query):
        found[row.conversation].append(row.id)
    return found
