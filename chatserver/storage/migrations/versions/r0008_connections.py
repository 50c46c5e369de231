"""How many connections each instance has."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    # Instances of before, which may still run, say nothing of them.
    op.add_column(
        "instances", sa.Column("connections", sa.Integer, nullable=False, server_default=sa.text("0"))
    )
