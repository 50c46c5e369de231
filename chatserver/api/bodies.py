"""Reading what a client sends: bounded in bytes and time, JSON only."""

import asyncio
from typing import TypeVar

from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.requests import Request

from chatserver.errors import PayloadTooLarge, RequestTimeout, Unsupported
from chatserver.wire.inbound import parse_object, validated

M = TypeVar("M", bound=BaseModel)


async def read_model(
    request: Request, model: type[M], *, limit: int, deadline: float, setting: str = ""
) -> M:
    """Read a JSON body of at most `limit` bytes as a `model`; no body is the same as an empty object.

    `setting` is where the limit comes from.
    """
    if not _announces_body(request.headers):
        return validated(model, {})
    _refuse_other_media(request.headers)
    raw = await read_body(request, limit=limit, deadline=deadline, setting=setting)
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


async def read_body(request: Request, *, limit: int, deadline: float, setting: str = "") -> bytes:
    """Read the body of at most `limit` bytes within `deadline` seconds, and never keep more."""
    if int(request.headers.get("content-length", "0")) > limit:
        raise _too_large(limit, setting)
    try:
        async with asyncio.timeout(deadline):
            return await _collect(request, limit, setting)
    except TimeoutError:
        late = f"The request wasn't complete after {deadline:g} seconds."
        raise RequestTimeout(late, setting="body_timeout_s") from None


async def _collect(request: Request, limit: int, setting: str) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit, setting)
    return bytes(body)


def _too_large(limit: int, setting: str) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request is larger than {limit} bytes.", limit=limit, setting=setting)
