"""Conversations: beginning one, and reading them by the one they belong to."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from sqlalchemy import bindparam, insert, select, tuple_

from chatserver.errors import ChatserverError, Invalid, KeyReused, NotFound
from chatserver.generation.ids import CONVERSATION, is_id
from chatserver.generation.principal import Principal
from chatserver.storage.among import among
from chatserver.storage.command import Command, Transaction, plan_each
from chatserver.storage.connection import Connection
from chatserver.storage.database import Database
from chatserver.storage.entries import enter_titles
from chatserver.storage.gathering import Gathering
from chatserver.storage.keys import Keys, Known
from chatserver.storage.messages import load_messages
from chatserver.storage.records import Change, Conversation, Created, Idempotency, Page, Stored
from chatserver.storage.rows import (
    conversation_of,
    generation_of,
    list_generations,
    row_of_conversation,
    select_conversations,
    select_messages,
)
from chatserver.storage.searching import that_have
from chatserver.storage.tables import conversations, generations, messages
from chatserver.storage.words import Sought, key_of

_MILLISECONDS = re.compile(r"0|[1-9][0-9]{0,14}")
#: Made once: making the query each time took twice as long as finding the row.
_ONE = select_conversations().where(
    conversations.c.id == bindparam("of_conversation"),
    conversations.c.tenant == bindparam("of_tenant"),
    conversations.c.user == bindparam("of_user"),
)
_SOME = select_conversations().where(among(conversations.c.id, "ids"))


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
        keys = await Keys.load(transaction.connection, commands)
        made = await _load_made(transaction.connection, keys)
        new: list[Conversation] = []

        def create(command: CreateConversation) -> Created:
            known = keys.find(command)
            if known is not None:
                return Created(_made_under(known, made), known.stored)
            conversation = _begun(command)
            keys.remember(command, partial(command.reply, conversation), conversation=conversation.id)
            made[conversation.id] = conversation
            new.append(conversation)
            return Created(conversation)

        results = plan_each(create, commands)
        await transaction.write(insert(conversations), [row_of_conversation(begun) for begun in new])
        await enter_titles(transaction, [(begun.principal, begun.id, begun.title) for begun in new])
        transaction.changes.update({begun.id: begun.change for begun in new})
        await keys.save(transaction)
        return results


async def _load_made(connection: Connection, keys: Keys) -> dict[str, Conversation]:
    ids = {known.conversation for known in keys.made() if known.conversation}
    if not ids:
        return {}
    rows = await connection.execute(select_conversations().where(conversations.c.id.in_(ids)))
    return {row.id: conversation_of(row) for row in rows}


def _made_under(known: Known, made: dict[str, Conversation]) -> Conversation:
    if known.conversation is None:
        raise KeyReused
    return made[known.conversation]


def _begun(command: CreateConversation) -> Conversation:
    return Conversation(
        id=command.id,
        principal=command.principal,
        title=command.title,
        title_by_hand=command.title is not None,
        title_made=False,
        model=command.model,
        system=command.system,
        leaf=None,
        change=1,
        own_change=1,
        created_at=command.now_ms,
        active_at=command.now_ms,
    )


class Conversations:
    def __init__(self, database: Database) -> None:
        self._database = database
        # Asked for with every turn, and turns come together.
        self._asked = Gathering(self._some)

    async def get(self, principal: Principal, conversation: str) -> Conversation:
        found = await self._asked.find(conversation)
        if found is None or found.principal != principal:
            raise NotFound
        return found

    async def _some(self, ids: Collection[str]) -> dict[str, Conversation]:
        async def read(connection: Connection) -> dict[str, Conversation]:
            rows = await connection.execute(_SOME, {"ids": list(ids)})
            return {row.id: conversation_of(row) for row in rows}

        return await self._database.glance(read)

    async def page(
        self, principal: Principal, limit: int, cursor: str | None, sought: Sequence[Sought] = ()
    ) -> Page[Conversation]:
        """Last active first; of those alone that have all the words that are sought."""
        query = select_conversations().where(
            conversations.c.tenant == principal.tenant, conversations.c.user == principal.user
        )
        query = that_have(query, key_of(principal), sought)
        place = tuple_(conversations.c.active_at, conversations.c.id)
        if cursor is not None:
            query = query.where(place < tuple_(*_place(cursor)))
        query = query.order_by(conversations.c.active_at.desc(), conversations.c.id.desc()).limit(limit + 1)
        found = [conversation_of(row) for row in await self._database.rows(query)]
        items = tuple(found[:limit])
        return Page(items, f"{items[-1].active_at}.{items[-1].id}" if len(found) > limit else None)

    async def numbers(self, ids: Collection[str]) -> dict[str, int]:
        """Give the number of the newest change of each that is there, whoever it belongs to."""
        query = select(conversations.c.id, conversations.c.change).where(conversations.c.id.in_(ids))
        return {row.id: row.change for row in await self._database.rows(query)}

    async def changes(self, principal: Principal, conversation: str, after: int, limit: int) -> list[Change]:
        """What has changed since, each thing once as it is now, in order of its last change."""

        async def read(connection: Connection) -> list[Change]:
            whole = await find_conversation(connection, principal, conversation)
            changes = await _changed_messages(connection, conversation, after, limit)
            changes += await _changed_generations(connection, conversation, after, limit)
            if whole.own_change > after:
                changes.append(Change("conversation", whole.own_change, whole))
            return sorted(changes, key=attrgetter("number"))[:limit]

        return await self._database.read(read)


async def find_conversation(connection: Connection, principal: Principal, conversation: str) -> Conversation:
    whose = {"of_conversation": conversation, "of_tenant": principal.tenant, "of_user": principal.user}
    row = (await connection.execute(_ONE, whose)).one_or_none()
    if row is None:
        raise NotFound
    return conversation_of(row)


def _place(cursor: str) -> tuple[int, str]:
    """Where a page ended: when its last conversation was last active, and its id."""
    active_at, _, conversation = cursor.partition(".")
    if not _MILLISECONDS.fullmatch(active_at) or not is_id(CONVERSATION, conversation):
        raise Invalid("A cursor is given back exactly as it was received; this one was not.", field="cursor")
    return int(active_at), conversation


async def _changed_messages(
    connection: Connection, conversation: str, after: int, limit: int
) -> list[Change]:
    query = (
        select_messages()
        .where(messages.c.conversation == conversation, messages.c.change > after)
        .order_by(messages.c.change)
        .limit(limit)
    )
    found = await load_messages((await connection.execute(query)).all(), connection)
    return [Change("message", message.change, message) for message in found]


async def _changed_generations(
    connection: Connection, conversation: str, after: int, limit: int
) -> list[Change]:
    query = (
        list_generations()
        .where(generations.c.conversation == conversation, generations.c.change > after)
        .order_by(generations.c.change)
        .limit(limit)
    )
    rows = (await connection.execute(query)).all()
    return [Change("generation", row.change, generation_of(row)) for row in rows]
