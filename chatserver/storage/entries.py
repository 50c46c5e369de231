"""What makes conversations findable: of each text those words that its conversation didn't have before.

So a word that somebody says all the time costs a search no more than one that they say seldom.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import bindparam, delete, insert, select

from chatserver.generation.principal import Principal
from chatserver.storage.among import among
from chatserver.storage.command import Transaction
from chatserver.storage.connection import Connection, Write
from chatserver.storage.tables import conversations, messages, search_entries
from chatserver.storage.words import key_of, words_of

#: The number of the entry that holds a title's words: they go when the title does.
_TITLE = 0
#: Entries whose words are looked at before others are added: what is said often is said early.
_COMPARED = 32

#: Conversations that are entered at a time.
_ENTERED = 200

_EARLIER = select(search_entries.c.conversation, search_entries.c.number, search_entries.c.words).where(
    among(search_entries.c.conversation, "ids"),
    search_entries.c.number > _TITLE,
    search_entries.c.number <= _COMPARED,
)
_ENTER = insert(search_entries)
_FORGET_TITLE = delete(search_entries).where(
    search_entries.c.conversation == bindparam("of_conversation"), search_entries.c.number == _TITLE
)


#: Who a conversation belongs to, its id, and the title it has from now on.
Title = tuple[Principal, str, str | None]


class Entries:
    """The entries that a batch of commands adds, each seeing those before it."""

    def __init__(self) -> None:
        self._known: defaultdict[str, set[str]] = defaultdict(set)
        #: Conversation -> the number of its newest entry.
        self._newest: defaultdict[str, int] = defaultdict(int)
        self.rows: list[dict[str, Any]] = []

    @classmethod
    async def load(cls, connection: Connection, conversations: Iterable[str]) -> Self:
        entries, wanted = cls(), set(conversations)
        if wanted:
            for row in await connection.execute(_EARLIER, {"ids": list(wanted)}):
                entries._known[row.conversation].update(row.words.split())
                entries._newest[row.conversation] = max(entries._newest[row.conversation], row.number)
        return entries

    def add(self, principal: Principal, conversation: str, text: str) -> None:
        """Make a text findable in the conversation it belongs to."""
        known = self._known[conversation]
        words = [word for word in _keyed(principal, text) if word not in known]
        if not words:
            return
        number = self._newest[conversation] = min(self._newest[conversation], _COMPARED) + 1
        if number <= _COMPARED:
            known.update(words)
        self.rows.append(_row(conversation, number, words))

    def write(self) -> Write:
        return _ENTER, self.rows

    async def save(self, transaction: Transaction) -> None:
        await transaction.write(*self.write())


async def enter_titles(transaction: Transaction, titles: Sequence[Title]) -> None:
    """Make conversations findable by their first titles."""
    await transaction.write(_ENTER, list(title_rows(titles)))


async def replace_titles(transaction: Transaction, titles: Sequence[Title]) -> None:
    """Make conversations findable by these titles, and by those they had no more."""
    await transaction.write(_FORGET_TITLE, [{"of_conversation": titled} for _, titled, _ in titles])
    await enter_titles(transaction, titles)


def title_rows(titles: Iterable[Title]) -> Iterator[dict[str, Any]]:
    for principal, conversation, title in titles:
        words = _keyed(principal, title or "")
        if words:
            yield _row(conversation, _TITLE, words)


def enter_everything(connection: SyncConnection) -> None:
    """Make findable what was written before there was a search."""
    columns = (conversations.c[name] for name in ("id", "tenant", "user", "title"))
    page_after = select(*columns).order_by(conversations.c.id).limit(_ENTERED)
    last = ""
    while page := connection.execute(page_after.where(conversations.c.id > last)).all():
        last = page[-1].id
        owners = {row.id: Principal(row.tenant, row.user) for row in page}
        entries = Entries()
        said = select(messages.c.conversation, messages.c.content).where(messages.c.conversation.in_(owners))
        for row in connection.execute(said.order_by(messages.c.conversation, messages.c.change)):
            entries.add(owners[row.conversation], row.conversation, row.content)
        rows = [*title_rows((owners[row.id], row.id, row.title) for row in page), *entries.rows]
        if rows:
            connection.execute(insert(search_entries), rows)


def _keyed(principal: Principal, text: str) -> list[str]:
    key = key_of(principal)
    return [key + word for word in words_of(text)]


def _row(conversation: str, number: int, words: Sequence[str]) -> dict[str, Any]:
    return {"conversation": conversation, "number": number, "words": " ".join(words)}
