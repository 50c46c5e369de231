"""Conversations are found by the words of their titles and messages."""

import sqlalchemy as sa
from alembic import op

from chatserver.storage.entries import enter_everything

revision = "0006"
down_revision = "0005"

_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# The words stand in the entries alone; the index has nothing but which entry has which.
_SQLITE = (
    """
    CREATE VIRTUAL TABLE search_index USING fts5(
        words, content = 'search_entries', content_rowid = 'id', detail = 'none', columnsize = 0,
        tokenize = 'ascii'
    )
    """,
    """
    CREATE TRIGGER search_entry_added AFTER INSERT ON search_entries BEGIN
        INSERT INTO search_index (rowid, words) VALUES (new.id, new.words);
    END
    """,
    """
    CREATE TRIGGER search_entry_removed AFTER DELETE ON search_entries BEGIN
        INSERT INTO search_index (search_index, rowid, words) VALUES ('delete', old.id, old.words);
    END
    """,
)
_POSTGRESQL = """
    CREATE INDEX ix_search_entries_words ON search_entries
    USING gin (array_to_tsvector(string_to_array(words, ' '))) WITH (fastupdate = off)
"""


def upgrade() -> None:
    op.create_table(
        "search_entries",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("conversation", _ID, sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.SmallInteger, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )
    op.create_index("ix_search_entries_conversation_number", "search_entries", ["conversation", "number"])
    connection = op.get_bind()
    for statement in _SQLITE if connection.dialect.name == "sqlite" else (_POSTGRESQL,):
        op.execute(sa.text(statement))
    # As it is done today, not as it was then: what is found must be written as it is looked for.
    enter_everything(connection)
