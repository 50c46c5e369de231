"""A conversation whole, to take away: read while it is sent, so that its length costs no memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from chatserver.chat import markdown
from chatserver.chat.resources import ConversationResource, MessageResource, SummaryResource
from chatserver.generation.principal import Principal
from chatserver.storage.conversations import Conversations
from chatserver.storage.exporting import Exports, Section
from chatserver.storage.records import Conversation, Summary
from chatserver.storage.summaries import Summaries

#: Messages in memory at once; an answer may have a MiB.
_SECTION = 10


@dataclass(frozen=True, slots=True)
class Export:
    conversation: Conversation
    summary: Summary | None
    first: Section


@dataclass(frozen=True)
class Exporting:
    conversations: Conversations
    summaries: Summaries
    exports: Exports

    async def begin(self, principal: Principal, conversation: str) -> Export:
        """Read the beginning, so that what can't be read is refused before anything was sent."""
        found = await self.conversations.get(principal, conversation)
        return Export(
            conversation=found,
            summary=await self.summaries.on_branch(found.id, found.leaf),
            first=await self.exports.section(principal, found.id, 0, _SECTION),
        )

    async def json(self, export: Export) -> AsyncIterator[str]:
        summary = SummaryResource.of(export.summary).model_dump_json() if export.summary else "null"
        conversation = ConversationResource.of(export.conversation).model_dump_json()
        yield f'{{"conversation":{conversation},"summary":{summary},"messages":['
        between = ""
        async for section in self._sections(export):
            messages = ",".join(MessageResource.of(each).model_dump_json() for each in section.messages)
            yield between + messages
            between = ","
        yield "]}"

    async def markdown(self, export: Export) -> AsyncIterator[str]:
        yield markdown.beginning(export.conversation)
        above: str | None = None
        async for section in self._sections(export):
            elsewhere = markdown.followed_elsewhere(section.messages, above)
            openings = await self.exports.openings(elsewhere, markdown.OPENING) if elsewhere else {}
            yield markdown.written(section.messages, above, openings)
            above = section.messages[-1].id

    async def _sections(self, export: Export) -> AsyncIterator[Section]:
        conversation, section = export.conversation, export.first
        while section.messages:
            yield section
            if section.next is None:
                return
            section = await self.exports.section(
                conversation.principal, conversation.id, section.next, _SECTION
            )
