"""One message of a chat as Ollama takes it, shared by everything that reads, counts or answers."""

import base64
import binascii
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

#: What Ollama counts for a picture, whatever its size.
IMAGE_TOKENS = 768
_LONGEST_ROLE = 32


def _check_base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error as problem:
        raise ValueError("illegal base64 data at input byte 0") from problem
    return value


#: A picture as plain base64; like Go's decoder this refuses a `data:` address.
Image = Annotated[str, AfterValidator(_check_base64)]


class Body(BaseModel):
    """JSON as Go reads it: types are strict, `null` is the same as absent, unknown names are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict) and None in data.values():
            return {name: value for name, value in data.items() if value is not None}
        return data


class Message(Body):
    """A message of the conversation."""

    role: Annotated[str, Field(max_length=_LONGEST_ROLE), AfterValidator(str.lower)] = ""
    content: str = ""
    images: list[Image] = Field(default_factory=list)
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)
    tool_name: str = ""


class ToolFunction(Body):
    """What a tool is called, is good for, and takes (a JSON schema)."""

    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class Tool(Body):
    """A tool that the model may ask for."""

    type: str = "function"
    function: ToolFunction
