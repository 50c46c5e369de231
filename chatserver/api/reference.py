"""What is said about the API as a whole, and the shapes that travel in its streams."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from chatserver.api.openapi import Api
from chatserver.api.operation import Operation
from chatserver.chat.resources import (
    ConversationResource,
    FaultResource,
    GenerationResource,
    MessageResource,
    UsageResource,
)
from chatserver.errors import ChatserverError, ForeignHost, ForeignOrigin, Unauthenticated
from chatserver.generation.pieces import Channel, ResetReason, Source
from chatserver.generation.states import Reason
from chatserver.transports.messages import ClientMessage

_WEBSOCKET = """\
`GET /api/v1/ws`, subprotocol `chatserver.v1`: text frames, one JSON object each. The server opens with
`ready`. A client sends what `ClientMessage` describes; answers are `accepted`, `ok`, `pong` or `error`, then
come the frames of whatever it follows. Close codes: 1001, 1006, 1011, 1012 and 1013 mean reconnect; 4401:
fetch a fresh ticket first; 4403: stop; 4429: that was too much at once.
"""
_STREAMS = """\
One log per generation; every way of reading it carries the same frames. Give back the last `id` you saw to go
on from there, over any transport. Deltas are provisional, `end` is a commit.
"""
WEBSOCKET_PATH = "/api/v1/ws"
_OPEN_WEBSOCKET = {
    "get": {
        "operationId": "open_websocket",
        "tags": ["WebSocket"],
        "summary": "Open the WebSocket",
        "description": "Whoever may not is let in and told why by the code of the close; a browser sees no "
        "other answer. Without an upgrade there is nothing here.",
        "parameters": [
            {
                "name": "ticket",
                "in": "query",
                "required": False,
                "description": "Where no cookie can be sent, see `POST /tickets`.",
                "schema": {"type": "string", "maxLength": 512},
            }
        ],
        "responses": {
            "101": {"description": "The protocol is switched; then frames."},
            "403": {"$ref": "#/components/responses/ForeignHost"},
            "404": {"$ref": "#/components/responses/NotFound"},
        },
    }
}
_TAGS = {
    "Conversations": "Conversations, their messages, and sending one.",
    "Generations": "Work for a model, with or without a conversation: hand in, look, stop.",
    "Streams": _STREAMS,
    "WebSocket": _WEBSOCKET,
    "Entrance": "Tickets and models.",
    "Page": "The chat page.",
    "Operating": "Health and figures.",
}


class StreamFrame(BaseModel):
    model_config = ConfigDict(frozen=True)

    generation: str


class Queued(StreamFrame):
    """Where it stands in the queue; before `started` only, and not part of the log."""

    type: Literal["queued"]
    position: int
    eta_ms: int | None


class Started(StreamFrame):
    """An attempt begins."""

    type: Literal["started"]
    id: str
    model: str
    attempt: int
    source: Source
    context: dict[str, Any] | None


class Delta(StreamFrame):
    """Appended text."""

    type: Literal["delta"]
    id: str
    channel: Channel
    text: str


class ToolCalls(StreamFrame):
    """Calls of tools, as the model made them."""

    type: Literal["tool_calls"]
    id: str
    calls: list[dict[str, Any]]


class Reset(StreamFrame):
    """Forget everything of this generation so far; what follows is the whole."""

    type: Literal["reset"]
    id: str
    reason: ResetReason


class End(StreamFrame):
    """Nothing follows, and nothing about the generation ever changes."""

    type: Literal["end"]
    id: str
    reason: Reason
    usage: UsageResource | None
    sha256: str = Field(description="Of the answer since the last reset, as UTF-8.")
    error: FaultResource | None


class Frame(
    RootModel[Annotated[Queued | Started | Delta | ToolCalls | Reset | End, Field(discriminator="type")]]
):
    """What a reader of a generation gets."""


class ConversationFrame(BaseModel):
    """Something in a conversation as it is now; `id` is the number of its last change.

    `reset`: read the conversation again. `deleted`: it is gone, and nothing follows.
    """

    type: Literal["message", "generation", "conversation", "reset", "deleted"]
    conversation: str
    id: int
    resource: MessageResource | GenerationResource | ConversationResource | None = None


class _Poll(BaseModel):
    """What a long-poll brings."""

    after: str = Field(description="Give it back to go on from here.")
    ended: bool = Field(description="Nothing will ever follow.")


class GenerationPoll(_Poll):
    events: list[Frame]


class ConversationPoll(_Poll):
    events: list[ConversationFrame]


def api_of(operations: Iterable[Operation[Any, Any, Any]], body_timeout_s: float) -> Api:
    return Api(
        title="Chatserver",
        operations=tuple(operations),
        body_timeout_s=body_timeout_s,
        tags=_TAGS,
        security_schemes={
            "visitor": {"type": "apiKey", "in": "cookie", "name": "chatserver"},
            "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
        },
        errors_everywhere=(ChatserverError, Unauthenticated, ForeignOrigin, ForeignHost),
        paths={WEBSOCKET_PATH: _OPEN_WEBSOCKET},
        models_sent=(Frame, ConversationFrame),
        models_received=(ClientMessage,),
    )
