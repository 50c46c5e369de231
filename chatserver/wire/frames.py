"""Frames: what every reader of a generation gets, over any transport, as JSON objects."""

from typing import Any

import orjson

from chatserver.generation.feed import Place
from chatserver.generation.pieces import Delta, Ending, Fault, Piece, Reset, Started, ToolCalls, Usage
from chatserver.generation.position import Position
from chatserver.wire import sse, websocket

Frame = dict[str, Any]


def frame_of(generation: str, position: Position, piece: Piece) -> Frame:
    return {"type": piece_type(piece), "generation": generation, "id": str(position), **_facts(piece)}


def queued_frame(generation: str, place: Place) -> Frame:
    return {
        "type": "queued",
        "generation": generation,
        "position": place.position,
        "eta_ms": place.eta_ms,
    }


def piece_type(piece: Piece) -> str:
    return _TYPES[type(piece)]


def frame_json(generation: str, position: Position, piece: Piece) -> bytes:
    if isinstance(piece, Delta):
        # As `frame_of` would be encoded; nearly all frames are deltas, and this is three times as fast.
        facts = (generation.encode(), *position, piece.channel.encode(), orjson.dumps(piece.text))
        return _DELTA % facts
    return orjson.dumps(frame_of(generation, position, piece))


def frame_event(generation: str, position: Position, piece: Piece) -> bytes:
    """Encode as a server-sent event."""
    if isinstance(piece, Delta):
        facts = (*position, generation.encode(), *position, piece.channel.encode(), orjson.dumps(piece.text))
        return _DELTA_EVENT % facts
    return sse.event(piece_type(piece), frame_json(generation, position, piece), str(position))


def frame_message(generation: str, position: Position, piece: Piece) -> bytes:
    """Encode as a WebSocket message."""
    return websocket.text_message(frame_json(generation, position, piece))


def usage_json(usage: Usage | None) -> Frame | None:
    if usage is None:
        return None
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}


def fault_json(fault: Fault | None) -> Frame | None:
    return None if fault is None else {"code": fault.code, "detail": fault.detail}


def seconds_json(seconds: float) -> float:
    """Give seconds as clients are told them: 15, and not 15.0."""
    whole = int(seconds)
    return whole if whole == seconds else seconds


_DELTA = b'{"type":"delta","generation":"%b","id":"%d.%d","channel":"%b","text":%b}'
_DELTA_EVENT = b"id: %d.%d\nevent: delta\ndata: " + _DELTA + b"\n\n"

_TYPES: dict[type, str] = {
    Started: "started",
    Delta: "delta",
    ToolCalls: "tool_calls",
    Reset: "reset",
    Ending: "end",
}


def _facts(piece: Piece) -> Frame:
    match piece:
        case Delta(channel, text):
            return {"channel": channel, "text": text}
        case Started(model, attempt, source, context):
            return {"model": model, "attempt": attempt, "source": source, "context": context}
        case ToolCalls(calls):
            return {"calls": calls}
        case Reset(reason):
            return {"reason": reason}
        case Ending(reason, sha256, usage, error):
            return {
                "reason": reason,
                "usage": usage_json(usage),
                "sha256": sha256,
                "error": fault_json(error),
            }
