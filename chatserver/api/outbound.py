"""Answers of the calls that are more than one resource."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from chatserver.chat.resources import (
    ConversationResource,
    GenerationResource,
    MessageResource,
    SummaryResource,
)


class Outbound(BaseModel):
    model_config = ConfigDict(frozen=True)


class ConversationList(Outbound):
    items: list[ConversationResource]
    next_cursor: str | None


class MessageList(Outbound):
    items: list[MessageResource] = Field(description="Oldest first.")
    next_before: str | None = Field(description="Give it as `before` to get the page before this one.")
    change: int = Field(description="Watch the conversation from here on to miss nothing.")


class ConversationExport(Outbound):
    conversation: ConversationResource
    summary: SummaryResource | None = Field(description="What the model is told in short, if anything.")
    messages: list[MessageResource] = Field(description="Of all branches; each below its `parent`.")


class ShownMessage(Outbound):
    """A message as the model gets it."""

    role: str
    content: str


class ConversationContext(Outbound):
    """What the model would see of a conversation before a next question."""

    model: str
    messages: list[ShownMessage] = Field(description="Oldest first.")
    summary: SummaryResource | None = Field(
        description="What stands for the beginning of the current branch, where there is one; the model is "
        "told it as soon as something is left out."
    )
    report: dict[str, Any] = Field(
        description="Ids of the messages `kept` in full and `cut`; how many are `summarised` and `left_out`, "
        "and how far both reach; `tokens` of each part, `exact` or estimated; the `budget`. An image counts "
        "as 768 tokens, as model servers count it."
    )


class GenerationList(Outbound):
    items: list[GenerationResource]
    next_cursor: str | None


class AcceptedTurn(Outbound):
    """A turn that is on disk: the person's message, and the generation that answers it."""

    message: MessageResource
    generation: GenerationResource


class AcceptedGeneration(Outbound):
    """A generation that is on disk."""

    generation: GenerationResource


class IssuedTicket(Outbound):
    ticket: str
    expires_in: int = Field(description="Seconds.")


class OfferedModel(Outbound):
    name: str
    family: str
    parameter_size: str
    quantization: str
    context_length: int | None
    capabilities: Sequence[str]
    loaded: bool = Field(description="In some server's memory now, so that it answers at once.")


class Limits(Outbound):
    """What is taken here, so that nobody has to find out by being refused."""

    content_characters: int = Field(description="Of a message.")
    message_bytes: int = Field(description="Of a message over the WebSocket, as JSON.")
    messages_per_minute: int
    subscriptions: int = Field(description="Over one WebSocket, at once.")


class ModelList(Outbound):
    items: list[OfferedModel]
    default: str | None = Field(description="The model that answers where none is named.")
    simulated: bool = Field(description="No model server answers, so a simulated model does.")
    limits: Limits = Field(description="As a WebSocket tells them when it opens.")


class PartHealth(Outbound):
    ok: bool
    detail: str


class Health(Outbound):
    ok: bool
    parts: dict[str, PartHealth]
