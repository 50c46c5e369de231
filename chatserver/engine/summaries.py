"""The errand that keeps a conversation's summary up to date with what has left the model's window."""

from collections import OrderedDict
from dataclasses import dataclass, field

import structlog

from chatserver.context.summarising import Refusal, Update, refusal, request, update_of
from chatserver.engine.chores import Answered, Chores, Made
from chatserver.engine.prompts import Prompts
from chatserver.generation.ids import SUMMARY, new_id
from chatserver.generation.states import Purpose
from chatserver.settings import HousekeepingSettings
from chatserver.storage.records import Summary
from chatserver.storage.summaries import Departed, SaveSummary, Summaries
from chatserver.telemetry.metrics import Metrics

#: Messages that one summary takes up at most, so that each keeps a sensible part of the room.
_MOST_MESSAGES = 40
#: A candidate that is refused is asked for once more.
_TRIES = 2
#: Tokens of the request beside the old summary and the messages: instructions, and the facts to be kept.
_INSTRUCTIONS = 400
#: Conversations of which it is known how far the last try that failed went.
_REMEMBERED = 10_000

log = structlog.get_logger()


@dataclass(frozen=True)
class Summarise:
    chores: Chores
    prompts: Prompts
    summaries: Summaries
    metrics: Metrics
    options: HousekeepingSettings
    #: Conversation -> how many messages had left when a summary of them was refused twice.
    _failed: OrderedDict[str, int] = field(default_factory=OrderedDict)

    async def run(self, answered: Answered) -> None:
        last, count = answered.context.get("left_out_to"), answered.context.get("left_out", 0)
        if last is None or count < self._due(answered.conversation):
            return
        departed = await self.summaries.departed(answered.conversation, last, _MOST_MESSAGES)
        if departed.count < self._due(answered.conversation):
            return
        text = await self._accepted(answered, await self._update(answered.model, departed))
        if text is None:
            return
        self._failed.pop(answered.conversation, None)
        summary = self._summary(answered.conversation, departed, text)
        if await self.chores.writer.submit(SaveSummary(summary, departed.newest)):
            self.metrics.summary_made()
        else:
            self.metrics.summary_refused("overtaken")

    def _due(self, conversation: str) -> int:
        """So many messages have to have left; after a failure as many more than then."""
        return self._failed.get(conversation, 0) + self.options.summarise_after

    async def _update(self, model: str, departed: Departed) -> Update:
        old = departed.base.text if departed.base else None
        count = self.prompts.measures.at_hand(model).counter.count
        options = {"num_predict": self._most_written}
        room = self.prompts.room(await self.prompts.num_ctx(model), options)
        budget = room - _INSTRUCTIONS - (count(old) if old else 0)
        budget = max(_MOST_MESSAGES, min(budget, self.options.summary_input_tokens))
        return update_of(old, departed.said, budget, self.options.summary_tokens, count)

    @property
    def _most_written(self) -> int:
        """Let a model write a little too much, so that it is seen to be too long instead of being cut."""
        return 2 * self.options.summary_tokens

    async def _accepted(self, answered: Answered, update: Update) -> str | None:
        """Have it made, twice if need be; None where nothing came or it was refused."""
        wrong: Refusal | None = None
        for _ in range(_TRIES):
            made = await self.chores.make(
                Purpose.SUMMARY, answered, request(update, wrong), self._most_written
            )
            if made is None:
                return None
            wrong = refusal(made.text, update, self._tokens(answered.model, made))
            if wrong is None:
                return made.text.strip()
            self.metrics.summary_refused(wrong)
            log.info("summary_refused", conversation=answered.conversation, reason=wrong)
        self._put_off(answered.conversation, answered.context["left_out"])
        return None

    def _tokens(self, model: str, made: Made) -> int:
        if made.tokens is not None:
            return made.tokens
        return self.prompts.measures.at_hand(model).counter.count(made.text)

    def _put_off(self, conversation: str, left_out: int) -> None:
        self._failed[conversation] = left_out
        if len(self._failed) > _REMEMBERED:
            self._failed.popitem(last=False)

    def _summary(self, conversation: str, departed: Departed, text: str) -> Summary:
        newest = departed.said[-1]
        return Summary(
            id=new_id(SUMMARY),
            conversation=conversation,
            message=newest.id,
            covers=newest.depth or 0,
            text=text,
            by_hand=False,
            created_at=self.chores.clock.wall_ms(),
        )
