"""The API's description of itself as it is served: the document for programs, and pages for people."""

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from importlib.resources import files

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import Route

from chatserver.api.docs.errors import error_page
from chatserver.api.docs.layout import CONTENT_SECURITY_POLICY, STYLE
from chatserver.api.docs.reference import reference
from chatserver.api.openapi import Api, Json, document
from chatserver.api.operation import Answer, Call, Nothing, Operation, routes

TAG = "Description"
About = Operation[Nothing, Nothing, Nothing]


@dataclass(frozen=True)
class _Page:
    """Bytes that stay the same as long as this process lives."""

    content: bytes
    media_type: str
    cache_control: str = "no-cache"

    @cached_property
    def tag(self) -> str:
        return f'"{sha256(self.content).hexdigest()[:24]}"'

    def response(self, headers: Headers) -> Response:
        known = headers.get("if-none-match", "")
        fresh = {"ETag": self.tag, "Cache-Control": self.cache_control}
        if self.tag in known:
            return Response(status_code=304, headers=fresh)
        return Response(
            self.content,
            media_type=self.media_type,
            headers={
                **fresh,
                "Content-Security-Policy": CONTENT_SECURITY_POLICY,
                "X-Content-Type-Options": "nosniff",
            },
        )


class Handbook:
    """An API together with the operations that describe it, which are part of the description too."""

    def __init__(self, api: Api, *, address: str = "http://127.0.0.1:8000") -> None:
        own = (
            self._operation(
                "get_openapi", "/openapi.json", "The API as an OpenAPI document", "application/json"
            ),
            self._operation("get_docs", "/docs", "This page", "text/html"),
            self._operation("get_error_docs", "/docs/errors", "Every error code explained", "text/html"),
            self._operation("get_docs_style", STYLE, "How these pages look", "text/css"),
        )
        self.api = replace(
            api,
            operations=(*api.operations, *own),
            tags={**api.tags, TAG: "How the API describes itself, to programs and to people."},
        )
        self.document: Json = document(self.api)
        self._pages = {
            "/openapi.json": _Page(orjson.dumps(self.document), "application/json"),
            "/docs": _Page(reference(self.document, address=address), "text/html"),
            "/docs/errors": _Page(error_page(api.title), "text/html"),
            STYLE: _Page(_style(), "text/css", "public, max-age=3600"),
        }

    @property
    def routes(self) -> list[Route]:
        return routes(self.api.operations)

    def _operation(self, name: str, path: str, summary: str, media_type: str) -> About:
        async def serve(call: Call[Nothing, Nothing, Nothing]) -> Response:
            return self._pages[path].response(call.request.headers)

        return Operation(
            method="GET",
            path=path,
            name=name,
            tag=TAG,
            summary=summary,
            handler=serve,
            answers=(
                Answer(description="As it is now.", media_type=media_type),
                Answer(status=304, description="As the ETag in If-None-Match says."),
            ),
            security=(),
        )


def _style() -> bytes:
    return (files(__package__) / "style.css").read_bytes()
