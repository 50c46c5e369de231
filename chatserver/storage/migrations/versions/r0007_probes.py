"""What was found out about versions of models."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "probes",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("continues", sa.Boolean, nullable=False),
        sa.Column("probed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_probes"),
    )
