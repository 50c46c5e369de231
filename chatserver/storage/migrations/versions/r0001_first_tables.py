"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

#: Compared byte by byte, whatever language a server speaks.
_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_conversations()
    _create_messages()
    _create_leaf()
    _create_generations()
    _create_checkpoints()
    _create_idempotency()


def _create_conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("system", sa.Text),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("own_change", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("active_at", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "ix_conversations_tenant_user_active_at_id", "conversations", ["tenant", "user", "active_at", "id"]
    )


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("conversation", _ID, sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("parent", _ID, sa.ForeignKey("messages.id")),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("ref", sa.Text),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_messages_conversation_change", "messages", ["conversation", "change"])
    op.create_index("ix_messages_parent_id", "messages", ["parent", "id"])
    _create_partial_index("ix_messages_roots", "messages", ["conversation", "id"], "parent IS NULL")


def _create_leaf() -> None:
    """The two tables point at each other, so one of the keys is made after both."""
    if op.get_bind().dialect.name == "sqlite":
        # Which knows no other way to add a key, and none to name it.
        leaf = sa.Column("leaf", _ID, sa.ForeignKey("messages.id", ondelete="SET NULL"))
        op.add_column("conversations", leaf, inline_references=True)
    else:
        op.add_column("conversations", sa.Column("leaf", _ID))
        op.create_foreign_key(None, "conversations", "messages", ["leaf"], ["id"], ondelete="SET NULL")
    op.create_index("ix_conversations_leaf", "conversations", ["leaf"])


def _create_generations() -> None:
    op.create_table(
        "generations",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("conversation", _ID, sa.ForeignKey("conversations.id", ondelete="CASCADE")),
        sa.Column("message", _ID, sa.ForeignKey("messages.id", ondelete="CASCADE"), unique=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("thinking", sa.Text),
        sa.Column("tool_calls", sa.Text),
        sa.Column("sha256", sa.Text),
        sa.Column("usage", sa.Text),
        sa.Column("timings", sa.Text),
        sa.Column("context", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("metadata", sa.Text),
        sa.Column("final_epoch", sa.BigInteger),
        sa.Column("final_n", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("retry_of", _ID, sa.ForeignKey("generations.id", ondelete="SET NULL")),
        sa.Column("change", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("ix_generations_conversation_change", "generations", ["conversation", "change"])
    op.create_index("ix_generations_tenant_user_id", "generations", ["tenant", "user", "id"])
    op.create_index("ix_generations_tenant_user_status_id", "generations", ["tenant", "user", "status", "id"])
    _create_partial_index(
        "ix_generations_unfinished", "generations", ["id"], "status IN ('queued', 'running')"
    )
    _create_partial_index("ix_generations_retry_of", "generations", ["retry_of"], "retry_of IS NOT NULL")


def _create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("generation", _ID, sa.ForeignKey("generations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("generation", "attempt", "seq", "channel"),
    )


def _create_idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("conversation", _ID, sa.ForeignKey("conversations.id", ondelete="CASCADE")),
        sa.Column("generation", _ID, sa.ForeignKey("generations.id", ondelete="CASCADE")),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user", "key"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    _create_partial_index(
        "ix_idempotency_conversation", "idempotency", ["conversation"], "conversation IS NOT NULL"
    )
    _create_partial_index(
        "ix_idempotency_generation", "idempotency", ["generation"], "generation IS NOT NULL"
    )


def _create_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
