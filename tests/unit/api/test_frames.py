from typing import Any, get_args

import orjson
import pytest
from pydantic import BaseModel

from chatserver.api.frames import ConversationFrame, Frame
from chatserver.generation.feed import Place
from chatserver.generation.pieces import (
    Channel,
    Delta,
    Ending,
    Fault,
    Piece,
    Reset,
    Started,
    ToolCalls,
    Usage,
)
from chatserver.generation.position import Position
from chatserver.generation.states import Reason
from chatserver.transports.messages import ClientMessage, Message
from chatserver.wire.frames import frame_of, queued_frame
from tests.unit.asgi import call, websocket

PIECES: list[Piece] = [
    Started("m", 1, context={"kept": 1}),
    Delta(Channel.THINKING, "hm"),
    ToolCalls([{"a": 1}]),
    Reset(),
    Ending(Reason.COMPLETED, "ab", Usage(1, 2)),
    Ending(Reason.UPSTREAM_ERROR, "ab", error=Fault("stalled", "It stopped.")),
]


def names_of(frame: BaseModel) -> set[str]:
    return set(type(frame).model_fields)


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: type(piece).__name__)
def test_every_frame_is_described_with_all_its_members(piece) -> None:
    frame = frame_of("gen_1", Position(1, 2), piece)
    described = Frame.model_validate_json(orjson.dumps(frame), strict=True).root
    assert names_of(described) == set(frame)


def test_so_is_the_one_that_is_no_part_of_the_log() -> None:
    frame = queued_frame("gen_1", Place(1, None))
    assert names_of(Frame.model_validate(frame).root) == set(frame)


def test_every_message_of_a_client_is_described() -> None:
    union = ClientMessage.model_fields["root"].annotation
    assert set(get_args(union)) == set(get_args(Message))


@pytest.mark.asyncio(loop_scope="session")
async def test_the_frames_of_a_conversation_are_as_described(works) -> None:
    async def told(after: int) -> list[dict[str, Any]]:
        path = f"/api/v1/conversations/{conversation}/events?after={after}&wait=0"
        events: list[dict[str, Any]] = (await call(works.app, "GET", path)).json["events"]
        return events

    conversation = (await call(works.app, "POST", "/api/v1/conversations")).json["id"]
    body = {"content": "[[tokens=1]]"}
    turn = await call(works.app, "POST", f"/api/v1/conversations/{conversation}/messages", body)
    await works.ended(turn.json["generation"]["id"])
    frames = [*await told(0), *await told(99)]
    assert {frame["type"] for frame in frames} == {"message", "generation", "conversation", "reset"}
    for frame in frames:
        described = ConversationFrame.model_validate_json(orjson.dumps(frame)).model_dump(exclude_unset=True)
        assert set(described) == set(frame)


@pytest.mark.asyncio(loop_scope="session")
async def test_what_the_websocket_says_of_itself_is_true(works) -> None:
    document = (await call(works.app, "GET", "/openapi.json")).json
    assert "101" in document["paths"]["/api/v1/ws"]["get"]["responses"]
    async with websocket(works.app, "/api/v1/ws") as socket:
        socket.say({"type": "ping"})
        assert await socket.frame() == {"type": "pong"}
