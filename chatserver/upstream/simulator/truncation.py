"""Making a prompt fit the window the way Ollama does it: silently, unless it is told not to."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from chatserver.upstream.simulator.messages import IMAGE_TOKENS, Message, Tool
from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.template import parse, render
from chatserver.upstream.simulator.vocabulary import load_vocabulary

_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, "
    "adjust the context length in settings, or use a model with a longer context length"
)


@dataclass(frozen=True, slots=True)
class Window:
    """How much a prompt may hold, and what happens to one that holds more."""

    size: int
    #: Whether to drop what doesn't fit; otherwise the request is refused.
    truncate: bool = True
    #: Whether the model can lose the middle of its context; otherwise the request is refused.
    shift: bool = True
    #: Tokens at the very beginning which survive the loss of the middle.
    keep: int = 4


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model gets to see in the end."""

    text: str
    messages: Sequence[Message]
    #: Evaluated tokens, pictures included.
    tokens: int


def fit_messages(
    messages: Sequence[Message], tools: Sequence[Tool], window: Window, *, continues: bool
) -> Prompt:
    """Render `messages` so that they fit: first the oldest are dropped, then the middle of the text."""
    if window.truncate and len(messages) > 1:
        messages = _drop_oldest(messages, tools, window.size, continues=continues)
    text = render(messages, tools, continues=continues)
    images = sum(len(message.images) for message in messages)
    tokens = load_vocabulary().count(text) + IMAGE_TOKENS * images
    if tokens < window.size:
        return Prompt(text, messages, tokens)
    return _cut_middle(text, window, tokens, cuttable=not images)


def fit_text(text: str, window: Window, images: int = 0) -> Prompt:
    """Make raw text fit, which comes without a template."""
    tokens = load_vocabulary().count(text) + IMAGE_TOKENS * images
    if tokens < window.size:
        return Prompt(text, parse(text), tokens)
    return _cut_middle(text, window, tokens, cuttable=not images)


def _drop_oldest(
    messages: Sequence[Message], tools: Sequence[Tool], size: int, *, continues: bool
) -> Sequence[Message]:
    """Drop from the front until it fits; system messages and the last one always stay."""

    def without(count: int) -> list[Message]:
        return [*(one for one in messages[:count] if one.role == "system"), *messages[count:]]

    def fits(count: int) -> bool:
        kept = without(count)
        pictures = IMAGE_TOKENS * sum(len(message.images) for message in kept)
        return load_vocabulary().count(render(kept, tools, continues=continues)) + pictures <= size

    return without(bisect_left(range(len(messages) - 1), True, key=fits))


def _cut_middle(text: str, window: Window, tokens: int, *, cuttable: bool) -> Prompt:
    if not window.truncate or not cuttable:
        raise Refusal(400, _exceeded(tokens, window.size))
    if not window.shift:
        raise Refusal(400, _TOO_LONG)
    ids = load_vocabulary().encode(text)
    keep = max(0, min(window.keep, window.size - 1))
    left = window.size - max((window.size - keep) // 2, 1)
    tail = ids[len(ids) - (left - keep) :]
    seen = load_vocabulary().decode(tail)
    return Prompt(load_vocabulary().decode(ids[:keep]) + seen, parse(seen), left)


def _exceeded(tokens: int, size: int) -> str:
    """Return llama-server's own error, which Ollama passes on as a string."""
    message = f"request ({tokens} tokens) exceeds the available context size ({size} tokens)"
    error = {
        "code": 400,
        "message": f"{message}, try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": tokens,
        "n_ctx": size,
    }
    return orjson.dumps({"error": error}).decode()
