"""What the model remembers of a conversation: to look at it, and to put it right."""

from dataclasses import dataclass

from chatserver.context.window import Window
from chatserver.engine.prompts import Prompts
from chatserver.generation.clock import Clock
from chatserver.generation.principal import Principal
from chatserver.storage.conversations import Conversations
from chatserver.storage.records import Summary
from chatserver.storage.summaries import SetSummary, Summaries
from chatserver.storage.writer import Writer
from chatserver.upstream.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Memory:
    """What a model would see now, before a next question."""

    model: str
    window: Window
    #: What stands for the beginning of the current branch, also while all of that is still shown.
    summary: Summary | None


@dataclass(frozen=True)
class Remembering:
    fleet: Fleet
    writer: Writer
    conversations: Conversations
    summaries: Summaries
    prompts: Prompts
    clock: Clock

    async def look(self, principal: Principal, conversation: str) -> Memory:
        found = await self.conversations.get(principal, conversation)
        model = found.model or await self.fleet.default_model()
        window = await self.prompts.preview(found, model)
        return Memory(model, window, await self.summaries.on_branch(found.id, found.leaf))

    async def put_right(self, principal: Principal, conversation: str, text: str) -> Summary:
        """Put a person's words in the place of the summary; the next one is made from them."""
        return await self.writer.submit(SetSummary(principal, conversation, text, self.clock.wall_ms()))
