"""Summaries, titles that a model has made, and what the server generates for such housekeeping."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

#: Compared byte by byte, whatever language a server speaks.
_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("conversation", _ID, sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("message", _ID, sa.ForeignKey("messages.id", ondelete="CASCADE")),
        sa.Column("covers", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("by_hand", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_summaries_conversation_id", "summaries", ["conversation", "id"])
    op.create_index("ix_summaries_message_id", "summaries", ["message", "id"])
    _create_partial_index("ix_summaries_rootless", "summaries", ["conversation", "id"], "message IS NULL")
    op.add_column(
        "conversations", sa.Column("title_made", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("generations", sa.Column("purpose", sa.Text))
    _create_partial_index("ix_generations_housekeeping", "generations", ["id"], "purpose IS NOT NULL")


def _create_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
