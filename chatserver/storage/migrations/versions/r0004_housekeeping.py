"""Summaries, titles that a model has made, and what the server generates for such housekeeping."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column(
            "conversation", sa.Text, sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("message", sa.Text, sa.ForeignKey("messages.id", ondelete="CASCADE")),
        sa.Column("covers", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("by_hand", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_summaries_conversation_id", "summaries", ["conversation", "id"])
    op.create_index("ix_summaries_message_id", "summaries", ["message", "id"])
    op.add_column(
        "conversations", sa.Column("title_made", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("generations", sa.Column("purpose", sa.Text))
    housekeeping = sa.text("purpose IS NOT NULL")
    op.create_index(
        "ix_generations_housekeeping",
        "generations",
        ["id"],
        sqlite_where=housekeeping,
        postgresql_where=housekeeping,
    )
