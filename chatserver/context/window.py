"""Which messages of a conversation a model is shown: the newest that fit its context."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatserver.errors import ContextTooLong

#: Characters a token stands for at least, in most texts and tokenizers; a careful guess.
_CHARACTERS_A_TOKEN = 3
#: What a template puts around each message, in tokens.
_OVERHEAD = 8
#: What a template writes out of a message.
_SHOWN = ("content", "thinking", "tool_calls")
#: Ollama counts an image as this many tokens.
_IMAGE_TOKENS = 768

Turn = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Window:
    messages: list[Turn]
    #: The context report.
    report: dict[str, Any]


def estimate(turn: Turn) -> int:
    """Guess how many tokens a message takes; rather too many than too few."""
    text = sum(len(str(turn.get(part) or "").encode()) for part in _SHOWN)
    return text // _CHARACTERS_A_TOKEN + _OVERHEAD + _IMAGE_TOKENS * len(turn.get("images") or ())


def newest_that_fit(system: str | None, newest_first: Sequence[Turn], budget: int) -> Window:
    """Keep the question and as many messages before it as the budget allows; it fits by itself always."""
    head = [{"role": "system", "content": system}] if system else []
    left = budget - sum(map(estimate, head))
    kept: list[Turn] = []
    for turn in newest_first:
        left -= estimate(turn)
        if left < 0 and kept:
            break
        kept.append(turn)
    messages = [*head, *reversed(kept)]
    return Window(messages, _report(messages, len(newest_first) - len(kept), budget))


def whole(messages: Sequence[Turn], budget: int) -> Window:
    """Show everything or nothing: work that is handed in is never cut."""
    needed = sum(map(estimate, messages))
    if needed > budget:
        raise ContextTooLong(
            f"The text takes about {needed} tokens; this model has room for {budget}.",
            field="messages",
            limit=budget,
        )
    return Window(list(messages), _report(messages, 0, budget))


def _report(messages: Sequence[Turn], left_out: int, budget: int) -> dict[str, Any]:
    return {
        "kept": len(messages),
        "left_out": left_out,
        "tokens": sum(map(estimate, messages)),
        "exact": False,
        "budget": budget,
    }
