import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.generation.feed import Place
from chatserver.generation.pieces import (
    Channel,
    Delta,
    Ending,
    Fault,
    Reset,
    ResetReason,
    Started,
    ToolCalls,
    Usage,
)
from chatserver.generation.position import Position
from chatserver.generation.states import Reason
from chatserver.wire.frames import frame_event, frame_json, frame_of, queued_frame
from tests.unit.properties import PROPERTY

AT = Position(2, 7)
FRAMES = [
    (
        Started("llama:latest", 3, context={"kept": 2}),
        {"type": "started", "model": "llama:latest", "attempt": 3, "source": "model", "context": {"kept": 2}},
    ),
    (Delta(Channel.THINKING, 'a "b"\n'), {"type": "delta", "channel": "thinking", "text": 'a "b"\n'}),
    (ToolCalls([{"name": "add"}]), {"type": "tool_calls", "calls": [{"name": "add"}]}),
    (Reset(), {"type": "reset", "reason": "attempt_failed"}),
    (Reset(ResetReason.POSITION_UNKNOWN), {"type": "reset", "reason": "position_unknown"}),
    (
        Ending(Reason.COMPLETED, "ab12", Usage(3, 5)),
        {
            "type": "end",
            "reason": "completed",
            "usage": {"prompt_tokens": 3, "completion_tokens": 5},
            "sha256": "ab12",
            "error": None,
        },
    ),
    (
        Ending(Reason.UPSTREAM_ERROR, "ab12", error=Fault("stalled", "It stopped.")),
        {
            "type": "end",
            "reason": "upstream_error",
            "usage": None,
            "sha256": "ab12",
            "error": {"code": "stalled", "detail": "It stopped."},
        },
    ),
]


@pytest.mark.parametrize(("piece", "facts"), FRAMES, ids=lambda value: type(value).__name__)
def test_each_piece_has_its_frame(piece, facts) -> None:
    frame = orjson.loads(frame_json("gen_1", AT, piece))
    assert frame == {"generation": "gen_1", "id": "2.7", **facts}
    # Readers in a hurry tell frames apart by how they begin.
    assert list(frame)[:3] == ["type", "generation", "id"]


@PROPERTY
@given(st.text(), st.sampled_from(Channel), st.integers(0, 10**8), st.integers(0, 10**11))
def test_the_fast_way_to_write_a_delta_writes_the_same(text, channel, epoch, n) -> None:
    piece, position = Delta(channel, text), Position(epoch, n)
    assert frame_json("gen_1", position, piece) == orjson.dumps(frame_of("gen_1", position, piece))


@pytest.mark.parametrize("piece", [piece for piece, _ in FRAMES], ids=lambda value: type(value).__name__)
def test_an_event_has_the_frame_its_kind_and_its_position(piece) -> None:
    kind = frame_of("gen_1", AT, piece)["type"].encode()
    data = frame_json("gen_1", AT, piece)
    assert frame_event("gen_1", AT, piece) == b"id: 2.7\nevent: %b\ndata: %b\n\n" % (kind, data)


def test_a_frame_of_the_queue_has_no_position_in_the_log() -> None:
    assert queued_frame("gen_1", Place(3, None)) == {
        "type": "queued",
        "generation": "gen_1",
        "position": 3,
        "eta_ms": None,
    }
