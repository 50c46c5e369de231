"""Ollama's lines: what a model server says, read into pieces of a log."""

import json
from dataclasses import dataclass
from typing import Any

import orjson

from chatserver.errors import BadUpstreamData, UpstreamError
from chatserver.generation.pieces import Channel, Delta, ToolCalls, Usage
from chatserver.wire.text import storable, storable_json

#: An upstream's own sentence is shown up to this length.
_SENTENCE_CHARACTERS = 300
#: Counts stay exact for every reader below this; no true one comes near.
_HIGHEST_COUNT = 2**53


@dataclass(frozen=True, slots=True)
class Done:
    """The line that says an answer is complete."""

    #: "stop", "length", or empty where the server gave none.
    reason: str
    usage: Usage
    #: Nanoseconds the server spent, by its own names.
    timings: dict[str, int]


ChatEvent = Delta | ToolCalls | Done


def read_line(line: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = _read_leniently(line)
    if not isinstance(value, dict):
        raise BadUpstreamData
    return value


def read_chat_line(line: bytes) -> list[ChatEvent]:
    """Read one line of /api/chat; an error line is raised."""
    value = read_line(line)
    if "error" in value:
        raise UpstreamError(f"The model server reported: {sentence(value['error'])}")
    try:
        return _chat_events(value)
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise BadUpstreamData from error


def sentence(error: object) -> str:
    """Make an upstream's error text fit to be shown."""
    if isinstance(error, dict):
        error = error.get("message", "")
    text = storable(str(error)).strip() or "no reason given"
    return text if len(text) <= _SENTENCE_CHARACTERS else text[: _SENTENCE_CHARACTERS - 1] + "…"


def _chat_events(value: dict[str, Any]) -> list[ChatEvent]:
    message = value.get("message") or {}
    events: list[ChatEvent] = []
    if thinking := message.get("thinking"):
        events.append(Delta(Channel.THINKING, storable(thinking)))
    if content := message.get("content"):
        events.append(Delta(Channel.ANSWER, storable(content)))
    if calls := message.get("tool_calls"):
        events.append(ToolCalls([_tool_call(call) for call in calls]))
    # The last line may carry text or calls of its own, so it is read like any other first.
    if value.get("done") is True:
        events.append(_done(value))
    return events


def _tool_call(call: object) -> dict[str, Any]:
    if not isinstance(call, dict):
        raise BadUpstreamData
    clean: dict[str, Any] = storable_json(call)
    # Readers get it three levels down; what is nested deeper or counts higher can't be written there.
    orjson.dumps([[[clean]]])
    return clean


def _done(value: dict[str, Any]) -> Done:
    usage = Usage(_count(value.get("prompt_eval_count", 0)), _count(value.get("eval_count", 0)))
    timings = {name: _count(value[name]) for name in _TIMINGS if name in value}
    return Done(str(value.get("done_reason", "")), usage, timings)


def _count(value: Any) -> int:
    number = int(value)
    if not 0 <= number < _HIGHEST_COUNT:
        raise ValueError
    return number


_TIMINGS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def _read_leniently(line: bytes) -> Any:
    # The fast parser refuses half surrogate pairs and broken UTF-8; those are text to be mended.
    try:
        return json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError) as error:
        raise BadUpstreamData from error
