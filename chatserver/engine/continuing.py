"""Going on with an answer that another instance began: with what, and how the rest is joined on.

Pure. A model is shown the beginning as its own last message, and says what follows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatserver.generation.log import TokenLog
from chatserver.generation.pieces import Channel, Delta, Started, ToolCalls, Usage

#: What makes an answer more than plain text: its form would have to be taken up in the middle as well.
_NOT_PLAIN = ("format", "tools")


@dataclass(frozen=True, slots=True)
class Beginning:
    """What there is of an answer."""

    answer: str
    thinking: str
    #: As the model said it: about one for each token.
    pieces: int
    #: What the model was shown of the conversation when it began.
    context: dict[str, Any] | None

    @property
    def told(self) -> str:
        """The answer as the model is told it: many templates strip what stands around a message."""
        return self.answer.rstrip()

    @property
    def size(self) -> int:
        """Bytes of text."""
        return len(self.answer.encode()) + len(self.thinking.encode())


@dataclass(frozen=True, slots=True)
class Begun:
    """A beginning that a prompt ends with, and its tokens."""

    beginning: Beginning
    #: In the prompt.
    told: int
    #: Made before, thoughts among them.
    made: int

    def whole(self, rest: Usage) -> Usage:
        """Count as if one request had made all of it."""
        return Usage(max(0, rest.prompt_tokens - self.told), rest.completion_tokens + self.made)


def beginning_of(log: TokenLog, request: Mapping[str, Any]) -> Beginning | None:
    """Give what can be gone on with: some of a plain answer, with no thought unfinished."""
    if any(request.get(name) for name in _NOT_PLAIN):
        return None
    pieces = log.pieces(log.begins_at)
    if not pieces or not isinstance(pieces[0], Started) or any(isinstance(one, ToolCalls) for one in pieces):
        return None
    last = pieces[-1]
    if not isinstance(last, Delta) or last.channel is not Channel.ANSWER:
        return None
    answer, thinking = log.text(Channel.ANSWER), log.text(Channel.THINKING)
    beginning = Beginning(answer, thinking, len(pieces) - 1, pieces[0].context)
    return beginning if beginning.told else None


class Seam:
    """Joins the rest on. White space at the end of the beginning isn't told, so it is said again."""

    def __init__(self, beginning: str) -> None:
        #: What is there already and may come once more.
        self._again = beginning[len(beginning.rstrip()) :]

    def take(self, pieces: Sequence[Delta | ToolCalls]) -> Sequence[Delta | ToolCalls]:
        if not self._again:
            return pieces
        return [joined for piece in pieces if (joined := self._joined(piece)) is not None]

    def _joined(self, piece: Delta | ToolCalls) -> Delta | ToolCalls | None:
        if isinstance(piece, ToolCalls) or piece.channel is not Channel.ANSWER:
            return piece
        known = _same(self._again, piece.text)
        # Where it says something else, nothing of what follows was there before.
        self._again = self._again[known:] if known == len(piece.text) else ""
        return Delta(piece.channel, piece.text[known:]) if piece.text[known:] else None


def _same(one: str, other: str) -> int:
    """Count the characters that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))
