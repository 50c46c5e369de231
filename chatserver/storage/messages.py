"""Messages: a tree by parent, read as branches, upwards and never more than asked for."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Integer, Row, Select, bindparam, case, func, literal, select

from chatserver.errors import NotFound
from chatserver.generation.principal import Principal
from chatserver.storage.among import among, roots_of
from chatserver.storage.connection import Connection
from chatserver.storage.database import Database
from chatserver.storage.gathering import Gathering
from chatserver.storage.records import Counted, Message, Page, Said, Transcript
from chatserver.storage.rows import message_of, select_messages
from chatserver.storage.tables import conversations, messages

T = TypeVar("T")
#: Levels below a named leaf that are searched for the newest message. No person writes that many.
_DEEPEST = 100_000
#: Transcripts that are read at once: the first of a burst needn't wait for those of all the others.
_TRANSCRIPTS_AT_ONCE = 25

# Made once: making what reads a page each time took as long as reading it.
_LEAF = select(conversations.c.leaf).where(
    conversations.c.id == bindparam("of_conversation"),
    conversations.c.tenant == bindparam("of_tenant"),
    conversations.c.user == bindparam("of_user"),
)
_PARENT = select(messages.c.parent).where(
    messages.c.id == bindparam("of_message"), messages.c.conversation == bindparam("of_conversation")
)
_BESIDE = select(messages.c.id, messages.c.conversation, messages.c.parent).order_by(messages.c.id)
_UNDER_PARENTS = _BESIDE.where(among(messages.c.parent, "ids"))
_ROOTS = _BESIDE.where(roots_of("ids"))


def _select_upwards() -> Select[Any]:
    """A message and those above it, newest first, at most as many as are wanted."""
    branch = (
        select(messages.c.id, messages.c.parent, literal(1).label("depth"))
        .where(
            messages.c.id == bindparam("of_message"),
            messages.c.conversation == bindparam("of_conversation"),
        )
        .cte("branch", recursive=True)
    )
    branch = branch.union_all(
        select(messages.c.id, messages.c.parent, branch.c.depth + 1)
        .join(branch, messages.c.id == branch.c.parent)
        .where(branch.c.depth < bindparam("wanted", type_=Integer))
    )
    return select_messages().join(branch, branch.c.id == messages.c.id).order_by(branch.c.depth)


def _select_transcripts() -> Select[Any]:
    """The branches upwards from some messages, each newest first: who said what, and what that counts."""
    said = [messages.c[name] for name in ("id", "parent", "role", "content", "depth", "tokens", "counter")]
    branch = (
        select(messages.c.id.label("leaf"), messages.c.conversation, literal(0).label("place"), *said)
        .where(among(messages.c.id, "ids"))
        .cte("branch", recursive=True)
    )
    branch = branch.union_all(
        select(branch.c.leaf, branch.c.conversation, branch.c.place + 1, *said)
        .join(branch, messages.c.id == branch.c.parent)
        .where(branch.c.place + 1 < bindparam("most", type_=Integer))
    )
    system = select(conversations.c.system).where(conversations.c.id == branch.c.conversation)
    # Once for each: it may be as long as all that was said.
    once = case((branch.c.place == 0, system.scalar_subquery())).label("system")
    return select(branch, once).order_by(branch.c.leaf, branch.c.place)


_UPWARDS = _select_upwards()
_TRANSCRIPTS = _select_transcripts()

#: A conversation, a message in it, and how many are wanted from there upwards.
_Asked = tuple[str, str, int]

#: Where versions of a message stand beside each other: a conversation and a parent in it, None for the root.
Fork = tuple[str, str | None]


class Messages:
    def __init__(self, database: Database) -> None:
        self._database = database
        # Turns that are accepted together begin together.
        self._asked = Gathering(self._transcripts, _TRANSCRIPTS_AT_ONCE)

    async def branch(
        self, principal: Principal, conversation: str, leaf: str | None, before: str | None, limit: int
    ) -> Page[Message]:
        """The branch that ends at the newest message below `leaf`, by default the current one.

        Newest page first, ascending inside a page; `next` is what to give as `before`.
        """
        whose = {"of_tenant": principal.tenant, "of_user": principal.user, "of_conversation": conversation}

        async def read(connection: Connection) -> list[Message]:
            current = await _one(connection, _LEAF, whose)
            if before is not None:
                place = {"of_message": before, "of_conversation": conversation}
                start = await _one(connection, _PARENT, place)
            elif leaf is not None:
                start = await newest_below(connection, conversation, leaf)
                if start is None:
                    raise NotFound
            else:
                start = current
            return await _upwards(connection, conversation, start, limit + 1)

        found = await self._database.read(read)
        items = tuple(reversed(found[:limit]))
        return Page(items, next=items[0].id if len(found) > limit else None)

    async def transcript(self, conversation: str, from_message: str, limit: int) -> Transcript:
        """The branch upwards from a message, newest first, as a prompt needs it; whoever it belongs to."""
        return await self._asked.find((conversation, from_message, limit)) or Transcript(None, ())

    async def _transcripts(self, asked: Collection[_Asked]) -> dict[_Asked, Transcript]:
        ids, most = list({message for _, message, _ in asked}), max(limit for _, _, limit in asked)
        branches: defaultdict[tuple[str, str], list[Row[Any]]] = defaultdict(list)
        for row in await self._database.rows(_TRANSCRIPTS, {"ids": ids, "most": most}):
            branches[row.conversation, row.leaf].append(row)
        return {
            (conversation, message, limit): _transcript(branches[conversation, message][:limit])
            for conversation, message, limit in asked
        }


def _transcript(rows: Sequence[Row[Any]]) -> Transcript:
    return Transcript(rows[0].system if rows else None, tuple(map(_said, rows)))


def _said(row: Row[Any]) -> Said:
    counted = None if row.counter is None else Counted(row.tokens, row.counter)
    return Said(row.id, row.role, row.content, row.depth, counted)


async def load_messages(rows: Sequence[Row[Any]], connection: Connection) -> list[Message]:
    """The messages of rows that `select_messages` gave, each with those beside it."""
    beside = await versions(connection, {(row.conversation, row.parent) for row in rows})
    return [message_of(row, tuple(beside[row.conversation, row.parent])) for row in rows]


async def versions(connection: Connection, forks: Iterable[Fork]) -> dict[Fork, list[str]]:
    """The messages at each fork, in the order in which they were made."""
    found: dict[Fork, list[str]] = defaultdict(list)
    parents = {parent for _, parent in forks if parent is not None}
    roots = {conversation for conversation, parent in forks if parent is None}
    for query, wanted in ((_UNDER_PARENTS, parents), (_ROOTS, roots)):
        if wanted:
            for row in await connection.execute(query, {"ids": list(wanted)}):
                found[row.conversation, row.parent].append(row.id)
    return found


async def _one(connection: Connection, query: Select[T], wanted: Mapping[str, Any]) -> T:
    row = (await connection.execute(query, wanted)).one_or_none()
    if row is None:
        raise NotFound
    value: T = row[0]
    return value


async def newest_below(connection: Connection, conversation: str, message: str) -> str | None:
    """The message at which the branch ends that goes through this one; None where it isn't in there."""
    # Ids sort by time, so the newest is the highest.
    below = (
        select(messages.c.id, literal(1).label("depth"))
        .where(messages.c.id == message, messages.c.conversation == conversation)
        .cte("below", recursive=True)
    )
    below = below.union_all(
        select(messages.c.id, below.c.depth + 1)
        .join(below, messages.c.parent == below.c.id)
        .where(below.c.depth < _DEEPEST)
    )
    newest: str | None = await connection.scalar(select(func.max(below.c.id)))
    return newest


async def _upwards(connection: Connection, conversation: str, start: str | None, limit: int) -> list[Message]:
    if start is None:
        return []
    wanted = {"of_message": start, "of_conversation": conversation, "wanted": limit}
    return await load_messages((await connection.execute(_UPWARDS, wanted)).all(), connection)
