"""What an answer will consist of and how it will end, decided before the first token leaves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import chain, repeat
from typing import Any

import orjson

from chatserver.upstream.simulator.answers.compose import Answer
from chatserver.upstream.simulator.lines import Piece

#: Ollama gives up on more than 30 repetitions of a token, so 31 of them are seen.
_REPETITIONS = 31
#: What a runner that died says.
RUNNER_DIED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)


class Ending(Enum):
    """How the response ends."""

    DONE = auto()
    #: Cleanly, but without a done line.
    CUT = auto()
    ERROR = auto()
    RESET = auto()
    #: Never: the connection stays open and silent.
    SILENCE = auto()


@dataclass(frozen=True, slots=True)
class Script:
    """The pieces in their order, and the end."""

    pieces: Iterable[Piece]
    reason: str = "stop"
    ending: Ending = Ending.DONE
    #: What the done line carries besides: tool calls of models that send them last, generate's context.
    extra: Mapping[str, Any] = field(default_factory=dict)


def write_script(answer: Answer, most_tokens: int, *, calls_when_done: bool = False) -> Script:
    """Put an answer on its way: at most so many tokens, thoughts first."""
    pieces: list[Piece] = [(text, "thinking") for text in answer.thoughts]
    pieces += [(text, "answer") for text in answer.pieces]
    kept = pieces[:most_tokens]
    calls = orjson.dumps(answer.tool_calls) if answer.tool_calls and len(kept) == len(pieces) else b""
    if calls and not calls_when_done:
        kept.append((calls.decode(), "tool_calls"))
    return Script(
        pieces=kept,
        reason="stop" if len(kept) >= len(pieces) else "length",
        extra={"tool_calls": answer.tool_calls} if calls and calls_when_done else {},
    )


def spoil(script: Script, fault: str, endless: Iterable[str]) -> Script:
    """Have `fault` happen in mid-answer; `endless` is what an answer without an end goes on with."""
    pieces = list(script.pieces)
    middle = max(1, len(pieces) // 2) if pieces else 0
    begun, rest = pieces[:middle], pieces[middle:]
    endings = {"cut": Ending.CUT, "error-line": Ending.ERROR, "drop": Ending.RESET, "stall": Ending.SILENCE}
    if fault in endings:
        return replace(script, pieces=begun, ending=endings[fault])
    if fault == "repeat":
        return replace(script, pieces=begun + [(" the", "answer")] * _REPETITIONS, ending=Ending.CUT)
    if fault == "garbage":
        return replace(script, pieces=[*begun, ("", "garbage"), *rest])
    if fault == "endless-line":
        return replace(script, pieces=chain(begun, repeat(("", "unfinished"))))
    if fault == "endless":
        return replace(script, pieces=chain(pieces, ((text, "answer") for text in endless)))
    return script


def stopped_at(pieces: Iterable[str], stops: Iterable[str]) -> list[str]:
    """Return the pieces before the first of `stops`; the stop itself is not part of the answer."""
    kept = list(pieces)
    text = "".join(kept)
    left = min((at for stop in stops if stop and (at := text.find(stop)) >= 0), default=len(text))
    shown: list[str] = []
    for piece in kept:
        if left <= 0:
            break
        shown.append(piece[:left])
        left -= len(piece)
    return shown
