"""What a log consists of. A piece is never changed once it is in a log."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from chatserver.generation.states import Reason


class Channel(StrEnum):
    ANSWER = "answer"
    THINKING = "thinking"


class Source(StrEnum):
    MODEL = "model"


class ResetReason(StrEnum):
    ATTEMPT_FAILED = "attempt_failed"
    POSITION_UNKNOWN = "position_unknown"


@dataclass(frozen=True, slots=True)
class Started:
    """An attempt begins."""

    model: str
    attempt: int
    source: Source = Source.MODEL
    #: The context report: what the model was shown of the conversation.
    context: dict[str, Any] | None = None


class Delta(NamedTuple):
    """Appended text. Nearly all pieces are this, and a tuple is made in a third of a dataclass's time."""

    channel: Channel
    text: str


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """Calls of tools, as the model made them."""

    calls: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Reset:
    """Everything before is void; what follows is the whole."""

    reason: ResetReason = ResetReason.ATTEMPT_FAILED


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an answer did not come to its natural end: a code for programs, a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ending:
    """The last piece of every log."""

    reason: Reason
    #: SHA-256 of the answer channel since the last reset, as UTF-8, in hexadecimal.
    sha256: str
    usage: Usage | None = None
    error: Fault | None = None


Piece = Started | Delta | ToolCalls | Reset | Ending
