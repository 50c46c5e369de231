"""What a model makes of the messages it got, before it says anything."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from chatserver.upstream.simulator.answers.facts import Fact, facts_in
from chatserver.upstream.simulator.answers.language import Language, detect_language, topic_of
from chatserver.upstream.simulator.answers.speech import Speech, speech
from chatserver.upstream.simulator.messages import IMAGE_TOKENS, Message

_DIRECTIVE = re.compile(r"\[\[(\w+)=([^\]\s]{1,64})\]\]")


def directives(text: str) -> dict[str, str]:
    """Return the `[[name=value]]` marks of a message, which steer the simulator."""
    return dict(_DIRECTIVE.findall(text))


@dataclass(frozen=True)
class Reading:
    """The messages as one model sees them in one attempt."""

    model: str
    messages: Sequence[Message]
    #: Made from the messages, so that the same ones are answered in the same words.
    seed: int
    #: Above 0 the words are to be others than in any attempt before.
    attempt: int = 0

    @cached_property
    def rng(self) -> random.Random:
        return random.Random(f"{self.seed} {self.attempt}")  # noqa: S311 - repeatable on purpose

    @cached_property
    def _question_at(self) -> int:
        roles = [message.role for message in self.messages]
        return max((at for at, role in enumerate(roles) if role == "user"), default=len(roles))

    @cached_property
    def raw_question(self) -> str:
        return self.messages[self._question_at].content if self._question_at < len(self.messages) else ""

    @cached_property
    def question(self) -> str:
        return _DIRECTIVE.sub("", self.raw_question).strip()

    @cached_property
    def directives(self) -> dict[str, str]:
        return directives(self.raw_question)

    @property
    def earlier(self) -> Sequence[Message]:
        return self.messages[: self._question_at]

    @property
    def instructions(self) -> str:
        return self.messages[0].content if self.messages and self.messages[0].role == "system" else ""

    @property
    def tool_answers(self) -> list[Message]:
        """What tools have answered since the last question."""
        return [message for message in self.messages[self._question_at :] if message.role == "tool"]

    @property
    def picture_tokens(self) -> int:
        if self._question_at >= len(self.messages):
            return 0
        return IMAGE_TOKENS * len(self.messages[self._question_at].images)

    @cached_property
    def language(self) -> Language:
        said = [message.content for message in reversed(self.earlier) if message.role == "user"]
        return detect_language(self.question, *said[:3])

    @cached_property
    def speech(self) -> Speech:
        return speech(self.language)

    @cached_property
    def topic(self) -> str:
        return topic_of(self.question) or self.speech.phrases["that"][0]

    @cached_property
    def facts(self) -> list[Fact]:
        """Everything that the person or the instructions have told, oldest first."""
        told = (message.content for message in self.messages if message.role in ("system", "user"))
        return [fact for text in told for fact in facts_in(text)]

    def say(self, phrase: str, **values: object) -> str:
        return self.speech.say(self.rng, phrase, **values)
