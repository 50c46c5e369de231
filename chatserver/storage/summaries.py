"""Summaries: versions, each of which reaches a message, found upwards along a branch."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from sqlalchemy import bindparam, delete, func, insert, select, text, update

from chatserver.errors import ChatserverError, NotFound
from chatserver.generation.ids import SUMMARY, new_id
from chatserver.generation.principal import Principal
from chatserver.storage.command import Command, Transaction
from chatserver.storage.connection import Connection
from chatserver.storage.database import Database
from chatserver.storage.numbering import Numbering
from chatserver.storage.records import Said, Summary
from chatserver.storage.rows import row_of_summary, select_conversations, summary_of
from chatserver.storage.tables import conversations, messages, summaries

_QUERIES = files(__package__) / "queries"
_ON_BRANCH = text((_QUERIES / "summary.sql").read_text())
_UNSUMMARISED = text((_QUERIES / "unsummarised.sql").read_text())
#: Messages that are gone through upwards at most: several windows of short ones.
_FARTHEST = 1_000

_TOUCH = (
    update(conversations)
    .where(conversations.c.id == bindparam("of_conversation"))
    .values(own_change=bindparam("number"))
)
_REMOVE = delete(summaries).where(summaries.c.id == bindparam("of_summary"))


@dataclass(frozen=True, slots=True)
class Departed:
    """What the model isn't shown any more and no summary stands for, oldest first."""

    #: What a new summary goes on from.
    base: Summary | None
    #: The newest of the conversation, on whatever branch; another one means that the base may be out of date.
    newest: str | None
    #: All messages of that kind, of which `said` are the oldest.
    count: int
    said: tuple[Said, ...]


class Summaries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def on_branch(self, conversation: str, message: str | None) -> Summary | None:
        """Find what stands for the beginning of the branch that ends at a message; whoever it belongs to.

        None for the message: of a conversation in which nothing was said yet.
        """
        return await self._database.read(lambda connection: _on_branch(connection, conversation, message))

    async def departed(self, conversation: str, last: str, most: int) -> Departed:
        """Read what has left the window, from where its summary ends to the last message of that kind."""

        async def read(connection: Connection) -> Departed:
            base = await _on_branch(connection, conversation, last)
            departed = await _unsummarised(connection, conversation, last, base)
            taken = departed[:most]
            return Departed(
                base=base,
                newest=(await _newest(connection, {conversation})).get(conversation),
                count=len(departed),
                said=await _said(connection, taken),
            )

        return await self._database.read(read)


@dataclass(frozen=True, slots=True)
class SaveSummary(Command[bool]):
    """Keep a summary that was made, unless another one was written meanwhile or its conversation is gone."""

    summary: Summary
    #: The newest of the conversation when this one was begun.
    newest: str | None

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["SaveSummary"]
    ) -> Sequence[bool | ChatserverError]:
        connection = transaction.connection
        numbering = await Numbering.load(connection, [command.summary.conversation for command in commands])
        newest = await _newest(connection, {command.summary.conversation for command in commands})
        saved: list[Summary] = []

        def save(command: SaveSummary) -> bool:
            summary = command.summary
            if summary.conversation not in numbering or newest.get(summary.conversation) != command.newest:
                return False
            newest[summary.conversation] = summary.id
            saved.append(summary)
            return True

        results = [save(command) for command in commands]
        await _write(transaction, saved, numbering)
        return results


@dataclass(frozen=True, slots=True)
class SetSummary(Command[Summary]):
    """Put a person's words in the place of the summary that is valid on the current branch."""

    principal: Principal
    conversation: str
    text: str
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["SetSummary"]
    ) -> Sequence[Summary | ChatserverError]:
        numbering = await Numbering.load(
            transaction.connection, [command.conversation for command in commands]
        )
        results: list[Summary | ChatserverError] = []
        for command in commands:
            try:
                results.append(await _set(transaction, command, numbering))
            except NotFound as refusal:
                results.append(refusal)
        return results


async def _set(transaction: Transaction, command: SetSummary, numbering: Numbering) -> Summary:
    connection = transaction.connection
    query = select_conversations().where(
        conversations.c.id == command.conversation,
        conversations.c.tenant == command.principal.tenant,
        conversations.c.user == command.principal.user,
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound
    before = await _on_branch(connection, row.id, row.leaf)
    if before is not None and before.by_hand:
        # Somebody who changes a word again and again leaves one version, not a hundred.
        await transaction.write(_REMOVE, [{"of_summary": before.id}])
    summary = Summary(
        # Made here and not by the caller: the highest counts, and another may have been written meanwhile.
        id=new_id(SUMMARY),
        conversation=row.id,
        message=before.message if before else None,
        covers=before.covers if before else 0,
        text=command.text,
        by_hand=True,
        created_at=command.now_ms,
    )
    await _write(transaction, [summary], numbering)
    return summary


async def _write(transaction: Transaction, saved: Sequence[Summary], numbering: Numbering) -> None:
    await transaction.write(insert(summaries), [row_of_summary(summary) for summary in saved])
    await transaction.write(
        _TOUCH,
        [
            {"of_conversation": summary.conversation, "number": numbering.next(summary.conversation)}
            for summary in saved
        ],
    )
    await numbering.save(transaction)


async def _on_branch(connection: Connection, conversation: str, message: str | None) -> Summary | None:
    where = {"conversation": conversation, "message": message, "most": _FARTHEST}
    row = (await connection.execute(_ON_BRANCH, where)).one_or_none() if message else None
    if row is None:
        rootless = summaries.c.conversation == conversation, summaries.c.message.is_(None)
        query = select(summaries).where(*rootless).order_by(summaries.c.id.desc()).limit(1)
        row = (await connection.execute(query)).one_or_none()
    return summary_of(row) if row else None


async def _unsummarised(
    connection: Connection, conversation: str, message: str, base: Summary | None
) -> list[str]:
    """The ids from where the base reaches down to a message, oldest first."""
    reached = base.message if base and base.message else ""
    where = {"conversation": conversation, "message": message, "reached": reached, "most": _FARTHEST}
    return [row.id for row in await connection.execute(_UNSUMMARISED, where)][::-1]


async def _said(connection: Connection, ids: Sequence[str]) -> tuple[Said, ...]:
    columns = (messages.c[name] for name in ("id", "role", "content", "depth"))
    rows = await connection.execute(select(*columns).where(messages.c.id.in_(ids)))
    found = {row.id: Said(row.id, row.role, row.content, row.depth, None) for row in rows}
    return tuple(found[message] for message in ids)


async def _newest(connection: Connection, ids: set[str]) -> dict[str, str]:
    query = select(summaries.c.conversation, func.max(summaries.c.id).label("newest"))
    query = query.where(summaries.c.conversation.in_(ids)).group_by(summaries.c.conversation)
    return {row.conversation: row.newest for row in await connection.execute(query)}
