"""The lines of Ollama's NDJSON streams, and the same as one JSON for those who don't stream."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson

Kind = Literal["answer", "thinking", "tool_calls", "garbage", "unfinished"]
#: A text and what it is; tool calls are JSON already.
Piece = tuple[str, Kind]
Shape = Literal["chat", "generate"]

#: Begins like every line, and breaks off.
GARBAGE = b'{"model":"sim-chat:latest","message":{"role":"assistant","con\n'
_BROKEN: dict[Kind, bytes] = {"garbage": GARBAGE, "unfinished": b"x"}

_AROUND: dict[Shape, dict[Kind, tuple[bytes, bytes]]] = {
    "chat": {
        "answer": (b'","message":{"role":"assistant","content":', b'},"done":false}\n'),
        "thinking": (b'","message":{"role":"assistant","content":"","thinking":', b'},"done":false}\n'),
        "tool_calls": (b'","message":{"role":"assistant","content":"","tool_calls":', b'},"done":false}\n'),
    },
    "generate": {
        "answer": (b'","response":', b',"done":false}\n'),
        "thinking": (b'","response":"","thinking":', b',"done":false}\n'),
    },
}


@dataclass(frozen=True, slots=True)
class Measures:
    """What the done line tells, in nanoseconds and tokens; zeros are left out of it."""

    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0

    def as_json(self) -> dict[str, int]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value}


class Lines:
    """Writes the lines of one answer."""

    def __init__(self, shape: Shape, model: str, *, stamped: bool = False) -> None:
        self._shape: Shape = shape
        self._model = model
        self._stamped = stamped
        self._head = b'{"model":' + orjson.dumps(model) + b',"created_at":"'

    def encode(self, pieces: Iterable[Piece]) -> bytes:
        """Return one line for each piece, all of them made now."""
        now = time.time_ns()
        head = self._head + timestamp(now)
        stamp = f"{now // 1000} " if self._stamped else ""
        around = _AROUND[self._shape]
        parts: list[bytes] = []
        for text, kind in pieces:
            if kind in _BROKEN:
                parts.append(_BROKEN[kind])
                continue
            before, after = around[kind]
            value = text.encode() if kind == "tool_calls" else orjson.dumps(stamp + text)
            parts += (head, before, value, after)
        return b"".join(parts)

    def done(self, reason: str, measures: Measures, extra: Mapping[str, Any]) -> bytes:
        """Return the last line; `extra` is tool calls or generate's context."""
        return orjson.dumps(self._whole("", "", reason, extra) | measures.as_json()) + b"\n"

    def whole(
        self, pieces: Sequence[Piece], reason: str | None, measures: Measures, extra: Mapping[str, Any]
    ) -> bytes:
        """Return everything as one JSON; without a reason it isn't done."""
        answer = "".join(text for text, kind in pieces if kind == "answer")
        thinking = "".join(text for text, kind in pieces if kind == "thinking")
        calls = [orjson.loads(text) for text, kind in pieces if kind == "tool_calls"]
        if calls:
            extra = {**extra, "tool_calls": calls[0]}
        return orjson.dumps(self._whole(answer, thinking, reason, extra) | measures.as_json())

    def _whole(
        self, answer: str, thinking: str, reason: str | None, extra: Mapping[str, Any]
    ) -> dict[str, Any]:
        said: dict[str, Any] = {"thinking": thinking} if thinking else {}
        line: dict[str, Any] = {"model": self._model, "created_at": timestamp(time.time_ns()).decode()}
        if self._shape == "chat":
            line["message"] = {"role": "assistant", "content": answer, **said, **extra}
        else:
            line |= {"response": answer, **said, **extra}
        line["done"] = reason is not None
        return line | ({"done_reason": reason} if reason else {})


def timestamp(nanoseconds: int) -> bytes:
    """Return a time since the epoch as RFC 3339, to the nanosecond."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return b"%s.%09dZ" % (_whole_second(seconds), rest)


@lru_cache(8)
def _whole_second(seconds: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()


def error_line(sentence: str) -> bytes:
    return orjson.dumps({"error": sentence}) + b"\n"
