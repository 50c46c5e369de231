"""What texts and messages cost in tokens: exactly by a model's own vocabulary, or estimated."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any, Protocol

import orjson

#: A message as a model server gets it: role, content, perhaps more.
PromptMessage = dict[str, Any]

#: Ollama counts an image as this many tokens, whatever its size; what it really takes depends on the model.
IMAGE_TOKENS = 768
#: Bytes a token stands for at least, in most texts and vocabularies; a careful guess.
_BYTES_A_TOKEN = 3


def shown_as(messages: Sequence[PromptMessage]) -> int:
    """Count the messages that a template sees: neighbours of one role are joined before, but for tools."""
    roles = [message["role"] for message in messages]
    return sum(1 for before, role in pairwise(["", *roles]) if role != before or role == "tool")


class Counter(Protocol):
    @property
    def name(self) -> str | None:
        """Which counter it is: what it counted needs no counting again. None where its counts change."""

    def count(self, text: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """A guess by length, rather too many than too few, for models whose vocabulary isn't known."""

    #: What the model's own counts have shown the guess to be off by.
    factor: float = 1.0

    @property
    def name(self) -> None:
        return None

    def count(self, text: str) -> int:
        return ceil(len(text.encode()) * self.factor / _BYTES_A_TOKEN)


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a model's template puts around messages, in tokens: a careful guess until it is learned."""

    message: float = 8
    prompt: float = 16

    def of(self, messages: Sequence[PromptMessage]) -> int:
        return ceil(self.prompt + self.message * shown_as(messages))


@dataclass(frozen=True, slots=True)
class Measure:
    """How the prompts of one model are measured."""

    counter: Counter
    overhead: Overhead

    @property
    def exact(self) -> bool:
        return self.counter.name is not None

    def message(self, message: PromptMessage) -> int:
        """Count all that a template writes of a message, without what it puts around it."""
        texts = (message.get("content"), message.get("thinking"))
        tokens = sum(self.counter.count(text) for text in texts if text)
        tokens += sum(self.written(call) for call in message.get("tool_calls") or ())
        return tokens + IMAGE_TOKENS * len(message.get("images") or ())

    def written(self, value: Any) -> int:
        """Count a value as JSON: how templates write calls and descriptions of tools."""
        return self.counter.count(orjson.dumps(value).decode())
