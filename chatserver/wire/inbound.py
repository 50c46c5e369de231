"""What clients send, over whatever transport: strict JSON, checked against a model."""

from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from chatserver.errors import Invalid, MalformedRequest
from chatserver.wire.problems import invalid

M = TypeVar("M", bound=BaseModel)


def _without_nul(text: str) -> str:
    # No store takes it, and nobody types it.
    if "\x00" in text:
        raise PydanticCustomError("nul", "must not contain the NUL character")
    return text


#: Text as people write it. Names that have a pattern of their own are str: the pattern says it all.
Text = Annotated[str, AfterValidator(_without_nul)]


class Inbound(BaseModel):
    """What clients send: unknown fields are refused by name, and no content gets into messages."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Options(Inbound):
    """How the model should answer. What would make a model server reload the model isn't among them."""

    temperature: Annotated[float, Field(ge=0, le=10)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    num_predict: Annotated[int, Field(ge=1, le=1_000_000, description="Tokens at most.")] | None = None
    stop: (
        Annotated[list[Annotated[Text, Field(min_length=1, max_length=256)]], Field(max_length=16)] | None
    ) = None
    repeat_penalty: Annotated[float, Field(ge=0, le=10)] | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=1_000_000)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None

    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


def parse_object(raw: bytes | str) -> dict[str, Any]:
    """Parse an object of strict JSON: no NaN, no half surrogates; of a repeated name the last counts."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"The request isn't well-formed JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Invalid("The request must be a JSON object.")
    return value


def validated(model: type[M], value: dict[str, Any]) -> M:
    """Check parsed JSON against `model`: strictly, so that no text counts as a number."""
    try:
        # Through bytes again: strict checks know JSON's own types (a UUID is text there) in this form only.
        return model.model_validate_json(orjson.dumps(value), strict=True)
    except orjson.JSONEncodeError:
        raise MalformedRequest("The request is nested too deeply.") from None
    except ValidationError as error:
        if error.errors(include_url=False, include_context=False)[0]["type"] == "json_invalid":
            raise MalformedRequest("The request is nested too deeply.") from None
        raise invalid(error, value) from None
