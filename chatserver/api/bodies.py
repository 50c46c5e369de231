"""Reading what a client sends: bounded in bytes and time, strict JSON, checked against a model."""

import asyncio
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError
from starlette.datastructures import Headers
from starlette.requests import Request

from chatserver.api.problems import invalid
from chatserver.errors import Invalid, MalformedRequest, PayloadTooLarge, RequestTimeout, Unsupported

M = TypeVar("M", bound=BaseModel)

#: Seconds in which a request's body has to be here.
DEADLINE = 10.0


def _without_nul(text: str) -> str:
    # No store takes it, and nobody types it.
    if "\x00" in text:
        raise PydanticCustomError("nul", "must not contain the NUL character")
    return text


#: Text as people write it. Names that have a pattern of their own are str: the pattern says it all.
Text = Annotated[str, AfterValidator(_without_nul)]


class Model(BaseModel):
    """What clients send: unknown fields are refused by name, and no content gets into messages."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


async def read_model(request: Request, model: type[M], *, limit: int, deadline: float = DEADLINE) -> M:
    """Read a JSON body of at most `limit` bytes as a `model`; no body is the same as an empty object."""
    if not _announces_body(request.headers):
        return validated(model, {})
    _refuse_other_media(request.headers)
    raw = await read_body(request, limit=limit, deadline=deadline)
    return validated(model, parse_object(raw) if raw else {})


def _announces_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _refuse_other_media(headers: Headers) -> None:
    media_type, _, parameters = headers.get("content-type", "").lower().partition(";")
    if media_type.strip() != "application/json":
        raise Unsupported
    if parameters.strip() not in {"", "charset=utf-8", 'charset="utf-8"'}:
        raise Unsupported("JSON is taken in UTF-8 only.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Unsupported("Bodies are taken uncompressed only.")


async def read_body(request: Request, *, limit: int, deadline: float = DEADLINE) -> bytes:
    """Read the body of at most `limit` bytes within `deadline` seconds, and never keep more."""
    if int(request.headers.get("content-length", "0")) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(deadline):
            return await _collect(request, limit)
    except TimeoutError:
        raise RequestTimeout(f"The request wasn't complete after {deadline:g} seconds.") from None


async def _collect(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request is larger than {limit} bytes.", limit=limit)


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
