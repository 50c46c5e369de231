"""The shapes that travel in the streams, as they are described: frames, and what a long-poll brings."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from chatserver.chat.resources import (
    ConversationResource,
    FaultResource,
    GenerationResource,
    MessageResource,
    UsageResource,
)
from chatserver.generation.pieces import Channel, ResetReason, Source
from chatserver.generation.states import Reason


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
