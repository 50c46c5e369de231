"""Bodies, queries and paths of the calls, as they are checked."""

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from chatserver.generation.states import Lane, Status
from chatserver.wire.inbound import Inbound, Options, Text

PAGE = 50

Id = Annotated[str, Field(min_length=1, max_length=64)]
Cursor = Annotated[str, Field(max_length=256)]
Limit = Annotated[int, Field(ge=1, le=PAGE)]
ModelName = Annotated[Text, Field(min_length=1, max_length=256)]
Title = Annotated[Text, Field(min_length=1, max_length=200)]
System = Annotated[Text, Field(max_length=16_000)]
JsonObject = dict[str, Any]


def _base64(text: str) -> str:
    try:
        b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise PydanticCustomError("base64", "must be plain base64, without a data: prefix") from None
    return text


Image = Annotated[str, Field(min_length=1), AfterValidator(_base64)]


class OfOne(Inbound):
    """The path of one resource."""

    id: Id


class ConversationPage(Inbound):
    limit: Limit = PAGE
    cursor: Cursor | None = Field(default=None, description="`next_cursor` of the page before.")
    q: Annotated[Text, Field(max_length=200)] | None = Field(
        default=None,
        description="Words that all stand in its title or its messages, the last one perhaps not to its end. "
        "Case and accents don't count. Ordered like the whole list.",
    )


class BranchPage(Inbound):
    limit: Limit = PAGE
    before: Id | None = Field(default=None, description="`next_before` of the page before.")
    leaf: Id | None = Field(
        default=None, description="The branch through this message; by default the current one."
    )


class ExportQuery(Inbound):
    format: Literal["markdown", "json"] = "markdown"


class GenerationPage(Inbound):
    limit: Limit = PAGE
    cursor: Cursor | None = Field(default=None, description="`next_cursor` of the page before.")
    status: Status | None = None


class EventsQuery(Inbound):
    after: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The position of the last frame seen; without it, from the start."
    )
    wait: Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)] = Field(
        default=25, description="Seconds a long-poll may wait for news."
    )
    ticket: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Where no header or cookie can be sent, see `POST /tickets`."
    )


class NewConversation(Inbound):
    title: Title | None = None
    model: ModelName | None = None
    system: System | None = None


class ChangedConversation(Inbound):
    """What is to be different; what is left out stays."""

    title: Title | None = Field(default=None, description="Null leaves the title to the server.")
    model: ModelName | None = Field(default=None, description="Null stands for the server's default.")
    system: System | None = Field(default=None, description="Null stands for none.")
    leaf: Id | SkipJsonSchema[None] = Field(
        default=None,
        description="Any message of it: the current branch goes on to the newest below this one.",
    )

    @field_validator("leaf")
    @classmethod
    def _check_leaf(cls, leaf: str | None) -> str | None:
        if leaf is None:
            raise PydanticCustomError("leaf", "should be a message: what was said can't be made unsaid")
        return leaf

    def changes(self) -> dict[str, str | None]:
        return self.model_dump(exclude_unset=True)


class NewSummary(Inbound):
    text: Annotated[Text, Field(min_length=1, max_length=4_000)] = Field(
        description="What the model is to know of what it isn't shown."
    )

    @field_validator("text")
    @classmethod
    def _check_text(cls, text: str) -> str:
        if not text.strip():
            raise PydanticCustomError("text", "needs some words")
        return text


class NewMessage(Inbound):
    """A turn: what a person says."""

    content: Text
    parent: Id | None = Field(
        default=None,
        description="The answer it follows. Left out: the current leaf; null: none, a new first message.",
    )
    model: ModelName | None = None
    options: Options | None = None


class AnotherAnswer(Inbound):
    message: Id | None = Field(
        default=None, description="The answer beside which another is made; by default the current leaf."
    )


class ChatMessage(Inbound):
    """A message as the model gets it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Text = ""
    thinking: Text | None = None
    images: Annotated[list[Image], Field(max_length=32)] | None = None
    tool_calls: Annotated[list[JsonObject], Field(max_length=128)] | None = None
    tool_name: Annotated[Text, Field(max_length=256)] | None = None
    tool_call_id: Annotated[Text, Field(max_length=256)] | None = None


class NewGeneration(Inbound):
    """Work for a model: messages, or a prompt with what belongs to it."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=10_000)] | None = None
    prompt: Annotated[Text, Field(min_length=1)] | None = None
    system: Text | None = None
    images: Annotated[list[Image], Field(max_length=32)] | None = Field(
        default=None, description="Base64, for the prompt."
    )
    model: ModelName | None = None
    options: Options | None = None
    format: Literal["json"] | JsonObject | None = Field(
        default=None, description='"json" or a JSON schema of the answer.'
    )
    tools: Annotated[list[JsonObject], Field(max_length=128)] | None = None
    think: bool | Literal["low", "medium", "high", "max"] | None = None
    priority: Lane = Field(
        default=Lane.BACKGROUND, description="Background waits until nothing interactive does."
    )
    metadata: JsonObject | None = Field(default=None, description="Yours; given back as it was.")
    expires_in: Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)] | None = Field(
        default=None, description="Seconds after which the answer is no longer wanted."
    )

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if (self.messages is None) == (self.prompt is None):
            raise PydanticCustomError("parts", "needs either messages or a prompt")
        if self.images is not None and self.prompt is None:
            raise PydanticCustomError("parts", "takes images beside a prompt; else they stand in a message")
        return self

    def request(self) -> JsonObject:
        """Give what the model server gets of it."""
        extras = self.model_dump(include={"format", "tools", "think"}, exclude_none=True)
        options = {"options": self.options.given()} if self.options else {}
        return {"messages": self._messages(), **options, **extras}

    def _messages(self) -> list[JsonObject]:
        messages = [{"role": "system", "content": self.system}] if self.system else []
        if self.messages is not None:
            return messages + [message.model_dump(exclude_none=True) for message in self.messages]
        images = {"images": self.images} if self.images else {}
        return [*messages, {"role": "user", "content": self.prompt, **images}]


class NewTicket(Inbound):
    """What the ticket is for: one generation, one conversation, or, with neither, a WebSocket."""

    generation: Id | None = None
    conversation: Id | None = None

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.generation is not None and self.conversation is not None:
            raise PydanticCustomError("parts", "takes a generation or a conversation, not both")
        return self
