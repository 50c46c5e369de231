"""Messages: a tree by parent, read as branches, upwards and never more than asked for."""

from chatserver.generation.principal import Principal
from chatserver.storage.database import Database
from chatserver.storage.records import Message, Page


class Messages:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def branch(
        self, principal: Principal, conversation: str, leaf: str | None, before: str | None, limit: int
    ) -> Page[Message]:
        """The branch that ends at the newest message below `leaf`, by default the current one.

        Newest page first, ascending inside a page; `next` is what to give as `before`.
        """
        raise NotImplementedError

    async def transcript(self, conversation: str, from_message: str, limit: int) -> list[Message]:
        """The branch upwards from a message, newest first, whoever it belongs to."""
        raise NotImplementedError
