"""What a message counts in tokens, and how deep in its branch it is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_DEPTHS = """
WITH RECURSIVE tree (id, depth) AS (
    SELECT id, 1 FROM messages WHERE parent IS NULL
    UNION ALL
    SELECT messages.id, tree.depth + 1 FROM tree JOIN messages ON messages.parent = tree.id
)
UPDATE messages SET depth = tree.depth FROM tree WHERE tree.id = messages.id
"""


def upgrade() -> None:
    # Null all of them where an older version writes beside this one.
    op.add_column("messages", sa.Column("depth", sa.Integer))
    op.add_column("messages", sa.Column("tokens", sa.Integer))
    op.add_column("messages", sa.Column("counter", sa.Text))
    op.execute(sa.text(_DEPTHS))
