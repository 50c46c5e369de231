"""What a client may send over a WebSocket."""

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from chatserver.wire.inbound import Inbound, Options, Text, validated

#: Chosen by the client to find the answer to a message.
Ref = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")]
Id = Annotated[str, Field(min_length=1, max_length=64)]


class Send(Inbound):
    """A turn in a conversation; `ref` makes a repeat harmless."""

    type: Literal["send"]
    ref: Ref
    conversation: Id
    content: Text
    parent: Id | None = None
    model: Annotated[Text, Field(min_length=1, max_length=256)] | None = None
    options: Options | None = None


class Subscribe(Inbound):
    """Follow a generation from a position on."""

    type: Literal["subscribe"]
    ref: Ref | None = None
    generation: Id
    after: Annotated[str, Field(max_length=64)] | None = None


class Unsubscribe(Inbound):
    type: Literal["unsubscribe"]
    ref: Ref | None = None
    generation: Id


class Watch(Inbound):
    """Follow the changes of a conversation from a change number on."""

    type: Literal["watch"]
    ref: Ref | None = None
    conversation: Id
    after: Annotated[int, Field(ge=0, le=10**15)] | Annotated[str, Field(max_length=64)] | None = None


class Unwatch(Inbound):
    type: Literal["unwatch"]
    ref: Ref | None = None
    conversation: Id


class Cancel(Inbound):
    type: Literal["cancel"]
    ref: Ref | None = None
    generation: Id


class Ping(Inbound):
    type: Literal["ping"]
    ref: Ref | None = None


Message = Send | Subscribe | Unsubscribe | Watch | Unwatch | Cancel | Ping


class ClientMessage(RootModel[Annotated[Message, Field(discriminator="type")]]):
    """What a client sends over the WebSocket."""


def read_message(value: dict[str, Any]) -> Message:
    """Check a message as strictly as a body over HTTP."""
    return validated(ClientMessage, value).root
