"""A small API like ours, with everything a real one has."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response, StreamingResponse

from chatserver.api.openapi import Api
from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.api.problems import PROBLEM_HANDLERS, Problems, RequestId
from chatserver.api.reference import HOW_TO_USE
from chatserver.errors import Full, GapInLog, MalformedPosition, TooMany, TurnInProgress, Unauthenticated
from chatserver.wire.inbound import Inbound, Text

#: Bytes; what the sample takes as a message.
LIMIT = 2000


class OfConversation(Inbound):
    id: Annotated[str, Field(pattern="^conv_[a-z0-9]+$", description="Its id.", examples=["conv_01j9"])]


class Listing(Inbound):
    limit: Annotated[int, Field(ge=1, le=50, description="How many at most.")] = 20
    cursor: Annotated[str | None, Field(max_length=200, description="`next_cursor` of the page before.")] = (
        None
    )
    sort: Literal["newest", "oldest"] = "newest"


class Options(Inbound):
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8
    stop: Annotated[tuple[Text, ...], Field(max_length=4)] = ()


class NewConversation(Inbound):
    title: Annotated[
        Text | None, Field(max_length=200, description="Made from the first message if absent.")
    ] = None
    model: Text | None = None


class NewMessage(Inbound):
    content: Annotated[Text, Field(min_length=1, max_length=100, description="What the person says.")]
    parent: Annotated[Text | None, Field(description="An answer; absent, the current leaf.")] = None
    options: Options | None = None


class Conversation(BaseModel):
    """A conversation as every read of it gives it."""

    id: str
    title: str
    change: Annotated[int, Field(description="Grows with each thing that changes.")]


class Page(BaseModel):
    conversations: list[Conversation]
    next_cursor: str | None


class Accepted(BaseModel):
    """What is on disk before this answer leaves."""

    message: str
    generation: str
    key: str | None


class Started(BaseModel):
    """Begins an attempt."""

    type: Literal["started"]
    id: str
    model: str


class Delta(BaseModel):
    """Appended text."""

    type: Literal["delta"]
    id: str
    channel: Literal["answer", "thinking"]
    text: str


class End(BaseModel):
    """Ends the log, exactly once."""

    type: Literal["end"]
    id: str
    reason: str


class Frame(RootModel[Annotated[Started | Delta | End, Field(discriminator="type")]]):
    """One entry of a generation's log, told apart by `type`."""


class Send(Inbound):
    type: Literal["send"]
    content: Text


class Ping(Inbound):
    type: Literal["ping"]


class ClientMessage(RootModel[Annotated[Send | Ping, Field(discriminator="type")]]):
    """What a client says over the WebSocket."""


WEBSOCKET = """\
`GET /api/v1/ws` with the subprotocol `chatserver.v1`. Text frames, one JSON object each.

- **send** begins a turn; `accepted` comes before any frame of it.
- **ping** gets `pong`.

```json
{"type": "send", "content": "Why is the sky <blue> & not green?"}
```

A bad message gets an `error` frame and the connection lives on."""

CONVERSATION = {"id": "conv_01j9", "title": "The sky", "change": 7}
STREAM = 'id: 1-1\nevent: delta\ndata: {"type":"delta","id":"1-1","channel":"answer","text":"Because"}\n\n'


async def list_conversations(call: Call[Nothing, Listing, Nothing]) -> Page:
    titles = [f"{call.query.sort} {n}" for n in range(call.query.limit)]
    found = [Conversation(id=f"conv_{n}", title=title, change=n) for n, title in enumerate(titles)]
    return Page(conversations=found, next_cursor=call.query.cursor)


async def create_conversation(call: Call[Nothing, Nothing, NewConversation]) -> Conversation:
    return Conversation(id="conv_new", title=call.body.title or "New chat", change=1)


async def read_conversation(call: Call[OfConversation, Nothing, Nothing]) -> Conversation:
    return Conversation(id=call.path.id, title="The sky", change=7)


async def delete_conversation(call: Call[OfConversation, Nothing, Nothing]) -> Response:
    assert call.path.id
    return Response(status_code=204)


async def send_message(call: Call[OfConversation, Nothing, NewMessage]) -> Accepted:
    if call.path.id == "conv_busy":
        raise TurnInProgress("gen_1")
    if call.path.id == "conv_full":
        raise Full(retry_after=1.2)
    if call.path.id == "conv_gap":
        raise GapInLog(3, 5)
    return Accepted(message=call.body.content, generation="gen_1", key=call.idempotency_key)


async def follow(call: Call[OfConversation, Nothing, Nothing]) -> Response:
    assert call.path.id

    async def frames() -> AsyncIterator[str]:
        yield STREAM
        if call.path.id == "conv_broken":
            raise LookupError("a secret of ours")
        if call.path.id == "conv_endless":
            await asyncio.Event().wait()

    return StreamingResponse(frames(), media_type="text/event-stream")


def sample_operations() -> tuple[Operation, ...]:
    return (
        Operation(
            method="GET",
            path="/api/v1/conversations",
            name="list_conversations",
            tag="Conversations",
            summary="List conversations",
            description="Last active first.",
            handler=list_conversations,
            query=Listing,
            answers=(
                Answer(
                    model=Page,
                    description="A page of them.",
                    example={"conversations": [CONVERSATION], "next_cursor": None},
                ),
            ),
        ),
        Operation(
            method="POST",
            path="/api/v1/conversations",
            name="create_conversation",
            tag="Conversations",
            summary="Begin a conversation",
            handler=create_conversation,
            body=NewConversation,
            body_example={"title": "The sky"},
            idempotent=True,
            answers=(
                Answer(status=201, model=Conversation, description="It is there.", example=CONVERSATION),
            ),
        ),
        Operation(
            method="GET",
            path="/api/v1/conversations/{id}",
            name="read_conversation",
            tag="Conversations",
            summary="Read a conversation",
            handler=read_conversation,
            path_model=OfConversation,
            answers=(Answer(model=Conversation, description="As it is now.", example=CONVERSATION),),
        ),
        Operation(
            method="DELETE",
            path="/api/v1/conversations/{id}",
            name="delete_conversation",
            tag="Conversations",
            summary="Delete a conversation with all that hangs on it",
            description="Running generations are cancelled first.",
            handler=delete_conversation,
            path_model=OfConversation,
            answers=(Answer(status=204, description="It is gone."),),
        ),
        Operation(
            method="POST",
            path="/api/v1/conversations/{id}/messages",
            name="send_message",
            tag="Conversations",
            summary="Send a message",
            description="Message and answer are on disk before this answers. With `Accept: text/event-stream`"
            " the stream itself comes: first `accepted`, then the frames.",
            handler=send_message,
            path_model=OfConversation,
            body=NewMessage,
            body_example={"content": "Why is the sky blue? It's <evening>.", "options": {"temperature": 0.2}},
            body_limit=LIMIT,
            idempotent=True,
            errors=(TurnInProgress, Full),
            answers=(
                Answer(
                    status=202,
                    model=Accepted,
                    description="Accepted.",
                    example={"message": "msg_1", "generation": "gen_1", "key": None},
                ),
                Answer(
                    status=202,
                    model=Frame,
                    description="The stream.",
                    media_type="text/event-stream",
                    example=STREAM,
                ),
            ),
        ),
        Operation(
            method="GET",
            path="/api/v1/conversations/{id}/events",
            name="follow_conversation",
            tag="Streams",
            summary="Follow a conversation",
            handler=follow,
            path_model=OfConversation,
            errors=(MalformedPosition,),
            answers=(
                Answer(model=Frame, description="Frames.", media_type="text/event-stream", example=STREAM),
            ),
        ),
    )


WEBSOCKET_PATH = {
    "get": {
        "operationId": "open_websocket",
        "tags": ["WebSocket"],
        "summary": "Open the WebSocket",
        "description": "See above. A client says what `ClientMessage` describes.",
        "responses": {
            "101": {
                "description": "The protocol is switched; then frames.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ClientMessage"}}},
            },
            "401": {"$ref": "#/components/responses/Unauthenticated"},
        },
    }
}


def sample_api() -> Api:
    return Api(
        title="Chatserver",
        version="1.2.3",
        operations=sample_operations(),
        body_timeout_s=10,
        description=HOW_TO_USE,
        tags={
            "Conversations": "What a person can do.",
            "Streams": "One log per generation; every way of reading it carries the same frames.",
            "WebSocket": WEBSOCKET,
        },
        security_schemes={"key": {"type": "http", "scheme": "bearer"}},
        security=("key",),
        errors_everywhere=(Unauthenticated, TooMany),
        paths={"/api/v1/ws": WEBSOCKET_PATH},
        models_received=(ClientMessage,),
    )


def dressed(routes: list) -> Starlette:
    """Put an app around routes as the server does."""
    return Starlette(
        routes=routes,
        middleware=[Middleware(RequestId), Middleware(Problems)],
        exception_handlers=PROBLEM_HANDLERS,
    )
