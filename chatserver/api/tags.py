"""Entity tags: a conversation's change number, as caches and careful writers know it."""

import re

from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.responses import Response

from chatserver.errors import Invalid

#: A proxy that compresses weakens a tag; it still names the same version.
_ONE_TAG = re.compile(r'(?:W/)?"(0|[1-9][0-9]{0,14})"')


def is_known(headers: Headers, change: int) -> bool:
    """Tell whether the caller has this version already."""
    given = headers.get("if-none-match", "")
    return given.strip() == "*" or _tag(change) in given


def expected(headers: Headers) -> int | None:
    """Read the version that a change is meant for; None where any will do."""
    given = headers.get("if-match", "*").strip()
    if given == "*":
        return None
    found = _ONE_TAG.fullmatch(given)
    if found is None:
        raise Invalid("If-Match is an ETag exactly as it was received; this one isn't.", field="If-Match")
    return int(found[1])


def tagged(content: BaseModel, change: int) -> Response:
    return Response(content.model_dump_json(), media_type="application/json", headers=_headers(change))


def unchanged(change: int) -> Response:
    return Response(status_code=304, headers=_headers(change))


def _headers(change: int) -> dict[str, str]:
    # Kept by whoever asked, and asked for again each time.
    return {"ETag": _tag(change), "Cache-Control": "private, no-cache"}


def _tag(change: int) -> str:
    return f'"{change}"'
