"""Titles that a person has set are told from others."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "conversations", sa.Column("title_by_hand", sa.Boolean, nullable=False, server_default=sa.false())
    )
    # Until now every title was.
    op.execute(sa.text("UPDATE conversations SET title_by_hand = (title IS NOT NULL)"))
