"""Which model conversations have chosen, as it was seen last: reading it each time delayed every turn."""

from collections import OrderedDict

from chatserver.generation.principal import Principal
from chatserver.storage.conversations import Conversations
from chatserver.storage.records import Chosen, Conversation

#: Conversations that are remembered: those with a turn lately.
_MOST = 1_000


class Choices:
    """What is remembered may be outdated; whoever relies on it has it checked by the store."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations
        self._seen: OrderedDict[str, tuple[Principal, Chosen]] = OrderedDict()

    def note(self, conversation: Conversation) -> None:
        self._seen[conversation.id] = conversation.principal, Chosen(conversation.model)
        self._seen.move_to_end(conversation.id)
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)

    def recall(self, principal: Principal, conversation: str) -> Chosen | None:
        """Give what was seen; None for somebody else's conversation as well."""
        owner, chosen = self._seen.get(conversation, (None, None))
        return chosen if owner == principal else None

    async def read(self, principal: Principal, conversation: str) -> Chosen:
        found = await self._conversations.get(principal, conversation)
        self.note(found)
        return Chosen(found.model)

    def forget(self, conversation: str) -> None:
        self._seen.pop(conversation, None)
