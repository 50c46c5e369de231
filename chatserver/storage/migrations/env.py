"""Run by Alembic: on the connection it is handed, inside the transaction that was begun there."""

from alembic import context

from chatserver.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
