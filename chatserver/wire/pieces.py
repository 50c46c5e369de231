"""Pieces as instances hand them to each other: one line of JSON each, as short as it can be read."""

from typing import Any

import orjson

from chatserver.errors import BadSharedData
from chatserver.generation.pieces import (
    Channel,
    Delta,
    Ending,
    Fault,
    Piece,
    Reset,
    ResetReason,
    Source,
    Started,
    ToolCalls,
    Usage,
)
from chatserver.generation.states import Reason
from chatserver.wire.frames import fault_json, usage_json


def encode_piece(piece: Piece) -> bytes:
    """Write a piece without a line break in it."""
    match piece:
        case Delta(channel, text):
            # Nearly all of them; without a dictionary it takes half the time.
            return b'["%b",%b]' % (channel.encode(), orjson.dumps(text))
        case Started(model, attempt, source, context):
            return orjson.dumps(["started", model, attempt, source, context])
        case ToolCalls(calls):
            return orjson.dumps(["tool_calls", calls])
        case Reset(reason):
            return orjson.dumps(["reset", reason])
        case Ending(reason, sha256, usage, error):
            return orjson.dumps(["end", reason, sha256, usage_json(usage), fault_json(error)])


def decode_piece(line: bytes) -> Piece:
    """Read what `encode_piece` wrote; BadSharedData for anything else."""
    try:
        kind, *facts = orjson.loads(line)
        return _piece(kind, facts)
    except (orjson.JSONDecodeError, TypeError, ValueError, KeyError) as error:
        raise BadSharedData from error


def _piece(kind: str, facts: list[Any]) -> Piece:
    match kind, facts:
        case ("answer" | "thinking") as channel, [str(text)]:
            return Delta(Channel(channel), text)
        case "started", [str(model), int(attempt), source, context]:
            return Started(model, attempt, Source(source), context)
        case "tool_calls", [list(calls)]:
            return ToolCalls(calls)
        case "reset", [reason]:
            return Reset(ResetReason(reason))
        case "end", [reason, str(sha256), usage, error]:
            return Ending(
                Reason(reason), sha256, Usage(**usage) if usage else None, Fault(**error) if error else None
            )
        case _:
            raise ValueError(kind)
