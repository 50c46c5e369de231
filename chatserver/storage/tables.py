"""The tables and their indexes. Times are milliseconds since the epoch; JSON is text."""

from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    func,
    literal_column,
    text,
)


class Json(TypeDecorator[Any]):
    """A value as JSON text. None is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


#: Ids sort by the time they were made, so they are compared byte by byte, whatever language a server speaks.
Id = Text().with_variant(Text(collation="C"), "postgresql")

# Constraints get names from the first day, so that any database can change them later.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _where(condition: ColumnElement[bool]) -> dict[str, Any]:
    """Options of an index that holds only the rows where `condition` is true."""
    return {"sqlite_where": condition, "postgresql_where": condition}


conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("title", Text),
    # Set by a person: nothing automatic may overwrite it.
    Column("title_by_hand", Boolean, nullable=False, server_default=false()),
    # Made by a model: it needs no other.
    Column("title_made", Boolean, nullable=False, server_default=false()),
    Column("model", Text),
    Column("system", Text),
    # The two tables point at each other, so one of the keys has to be made after both.
    Column("leaf", Id, ForeignKey("messages.id", ondelete="SET NULL", use_alter=True)),
    Column("change", BigInteger, nullable=False),
    Column("own_change", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("active_at", BigInteger, nullable=False),
)
Index(None, *(conversations.c[name] for name in ("tenant", "user", "active_at", "id")))
Index(None, conversations.c.leaf)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation", Id, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    # No cascade from parent to child: SQLite would recurse, and gives up at a depth of 1,000.
    Column("parent", Id, ForeignKey("messages.id")),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("model", Text),
    Column("ref", Text),
    # How many messages the branch has down to this one; null where a version wrote it that didn't know.
    Column("depth", Integer),
    # How many tokens the content has, and by which counter.
    Column("tokens", Integer),
    Column("counter", Text),
    Column("change", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
Index(None, messages.c.conversation, messages.c.change)
Index(None, messages.c.parent, messages.c.id)
Index("ix_messages_roots", messages.c.conversation, messages.c.id, **_where(messages.c.parent.is_(None)))

generations = Table(
    "generations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("conversation", Id, ForeignKey("conversations.id", ondelete="CASCADE")),
    Column("message", Id, ForeignKey("messages.id", ondelete="CASCADE")),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("lane", Text, nullable=False),
    # Of the server's own housekeeping, which goes as soon as it has served; null for what people asked for.
    Column("purpose", Text),
    Column("model", Text, nullable=False),
    Column("request", Json, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text),
    Column("attempts", Integer, nullable=False),
    Column("cancel", Boolean, nullable=False),
    # Only without a message; else the text is the message's content.
    Column("result", Text),
    Column("thinking", Text),
    Column("tool_calls", Json),
    Column("sha256", Text),
    Column("usage", Json),
    Column("timings", Json),
    Column("context", Json),
    Column("error", Json),
    Column("metadata", Json),
    Column("final_epoch", BigInteger),
    Column("final_n", BigInteger),
    Column("expires_at", BigInteger),
    Column("retry_of", Id, ForeignKey("generations.id", ondelete="SET NULL")),
    Column("change", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    UniqueConstraint("message"),
)
#: Written out rather than bound: an index of some rows serves only a query that says the same.
unfinished = generations.c.status.in_([literal_column("'queued'"), literal_column("'running'")])
Index(None, generations.c.conversation, generations.c.change)
Index(None, *(generations.c[name] for name in ("tenant", "user", "id")))
Index(None, *(generations.c[name] for name in ("tenant", "user", "status", "id")))
Index("ix_generations_unfinished", generations.c.id, **_where(unfinished))
Index(None, generations.c.retry_of, **_where(generations.c.retry_of.is_not(None)))

#: Written out as above: what an owner has unfinished.
Index("ix_generations_owner", generations.c.owner, **_where(unfinished))

instances = Table(
    "instances",
    metadata,
    Column("id", Text, primary_key=True),
    # By the database's clock; renewed as long as the process lives.
    Column("lease_until", BigInteger, nullable=False),
    # Streams and WebSockets, as it said with its last sign of life.
    Column("connections", Integer, nullable=False, server_default=text("0")),
)
Index("ix_generations_housekeeping", generations.c.id, **_where(generations.c.purpose.is_not(None)))

# One for each text: a title, or those words of a message that its conversation didn't have before.
search_entries = Table(
    "search_entries",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("conversation", Id, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    # Of a title 0; of messages from 1 on in order, the later ones the same.
    Column("number", SmallInteger, nullable=False),
    # Each word with the key of its user before it, and spaces between.
    Column("words", Text, nullable=False),
)
Index(None, search_entries.c.conversation, search_entries.c.number)
_vector = func.array_to_tsvector(func.string_to_array(search_entries.c.words, literal_column("' '")))
# Kept up to date at once: a list of what is still to be entered would be read by every search.
Index(
    "ix_search_entries_words",
    _vector,
    postgresql_using="gin",
    postgresql_with={"fastupdate": "off"},
).ddl_if(dialect="postgresql")

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("generation", Id, ForeignKey("generations.id", ondelete="CASCADE"), nullable=False),
    # With the epoch before it.
    Column("attempt", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("text", Text, nullable=False),
    PrimaryKeyConstraint("generation", "attempt", "seq", "channel"),
)

summaries = Table(
    "summaries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation", Id, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    # The newest message it stands for; null while it stands for none, as one set by hand early.
    Column("message", Id, ForeignKey("messages.id", ondelete="CASCADE")),
    # How many messages of the branch that makes.
    Column("covers", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
Index(None, summaries.c.conversation, summaries.c.id)
Index(None, summaries.c.message, summaries.c.id)
Index(
    "ix_summaries_rootless",
    summaries.c.conversation,
    summaries.c.id,
    **_where(summaries.c.message.is_(None)),
)

probes = Table(
    "probes",
    metadata,
    # Of a version of a model.
    Column("digest", Text, primary_key=True),
    # Whether it goes on with an answer that was begun.
    Column("continues", Boolean, nullable=False),
    Column("probed_at", BigInteger, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    # What was made under the key. The stored answer quotes it, so it goes when that is deleted.
    Column("conversation", Id, ForeignKey("conversations.id", ondelete="CASCADE")),
    Column("generation", Id, ForeignKey("generations.id", ondelete="CASCADE")),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "user", "key"),
)
Index(None, idempotency.c.created_at)
Index(None, idempotency.c.conversation, **_where(idempotency.c.conversation.is_not(None)))
Index(None, idempotency.c.generation, **_where(idempotency.c.generation.is_not(None)))
