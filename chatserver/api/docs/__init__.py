"""The API's description of itself as it is served: the document for programs, and pages for people."""

from dataclasses import replace
from importlib.resources import files

import orjson
from starlette.responses import Response
from starlette.routing import Route

from chatserver.api.docs.errors import error_page
from chatserver.api.docs.layout import CONTENT_SECURITY_POLICY, STYLE
from chatserver.api.docs.reference import reference
from chatserver.api.openapi import Api, Json, document
from chatserver.api.operation import Answer, Call, Nothing, Operation, routes
from chatserver.api.static import StaticFile

TAG = "Description"
About = Operation[Nothing, Nothing, Nothing]

_HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": CONTENT_SECURITY_POLICY}
_STYLE_HEADERS = {**_HEADERS, "Cache-Control": "public, max-age=3600"}


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
            "/openapi.json": StaticFile(orjson.dumps(self.document), "application/json"),
            "/docs": StaticFile(reference(self.document, address=address), "text/html"),
            "/docs/errors": StaticFile(error_page(api.title), "text/html"),
            STYLE: StaticFile(_style(), "text/css"),
        }

    @property
    def routes(self) -> list[Route]:
        return routes(self.api.operations, self.api.body_timeout_s)

    def _operation(self, name: str, path: str, summary: str, media_type: str) -> About:
        async def serve(call: Call[Nothing, Nothing, Nothing]) -> Response:
            return self._pages[path].response(call.request, _STYLE_HEADERS if path == STYLE else _HEADERS)

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
