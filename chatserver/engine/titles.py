"""The errand that gives a conversation a title, made of what was asked and answered."""

from dataclasses import dataclass

from chatserver.context.titling import clean_title, title_request
from chatserver.engine.chores import Answered, Chores
from chatserver.generation.states import Purpose
from chatserver.storage.conversations import Conversations
from chatserver.storage.messages import Messages
from chatserver.storage.titles import GiveTitle
from chatserver.telemetry.metrics import Metrics

#: Tokens that a title may take: far more than its few words, so that it is never cut.
_MOST_TOKENS = 60
#: A conversation that has no title after so many messages keeps the first words.
_LAST_TRY = 6


@dataclass(frozen=True)
class Entitle:
    chores: Chores
    conversations: Conversations
    messages: Messages
    metrics: Metrics

    async def run(self, answered: Answered) -> None:
        conversation = await self.conversations.get(answered.principal, answered.conversation)
        if conversation.title_by_hand or conversation.title_made:
            return
        said = (await self.messages.transcript(answered.conversation, answered.message, 2)).said
        if len(said) < 2 or (said[0].depth or 0) > _LAST_TRY:
            return
        answer, question = said
        made = await self.chores.make(
            Purpose.TITLE, answered, title_request(question.content, answer.content), _MOST_TOKENS
        )
        title = clean_title(made.text, question.content) if made else None
        if title is None:
            return
        if await self.chores.writer.submit(GiveTitle(answered.conversation, title)):
            self.metrics.title_made()
