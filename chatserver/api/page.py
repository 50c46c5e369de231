"""The chat page: what was built of it is read once, and served as it is until the process ends."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.api.static import MEDIA_TYPES, StaticFile
from chatserver.errors import NotFound

TAG = "Page"

#: Nothing comes from elsewhere, nothing written into the page runs, and markup is made by two parts only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types svelte-trusted-html dompurify"
)
#: The name of an asset changes with its content.
_FOR_EVER = "public, max-age=31536000, immutable"
_FIRST = "index.html"
_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>chatserver</title>
<h1>The chat page is not built yet</h1>
<p>The server runs, and everything under <a href="/docs">/docs</a> works. To build the page, install
Node 20.19 or newer with npm, run <code>make page</code> in the source tree, and start the server again.</p>
</html>
"""


class Asset(BaseModel):
    file: Annotated[str, StringConstraints(max_length=200)]


@dataclass(frozen=True)
class ChatPage:
    #: By their paths in the folder; empty where no page was built.
    files: Mapping[str, StaticFile]

    @classmethod
    def read(cls, folder: Path) -> Self:
        paths = [path for path in folder.rglob("*") if path.suffix in MEDIA_TYPES]
        return cls({path.relative_to(folder).as_posix(): StaticFile.read(path) for path in paths})

    @classmethod
    def find(cls) -> Self:
        """Read the page beside this file, where a wheel has it, or what was built in the source tree."""
        installed = Path(__file__).with_suffix("")
        built = Path(__file__).parents[2] / "frontend_shim" / "page" / "dist"
        return cls.read(installed if installed.is_dir() else built)

    @property
    def is_built(self) -> bool:
        return _FIRST in self.files

    def operations(
        self, welcome: Callable[[Request], dict[str, str]]
    ) -> Iterable[Operation[Nothing, Nothing, Nothing] | Operation[Asset, Nothing, Nothing]]:
        async def first(call: Call[Nothing, Nothing, Nothing]) -> Response:
            return self._first(call.request, welcome(call.request))

        async def asset(call: Call[Asset, Nothing, Nothing]) -> Response:
            return self._file(f"assets/{call.path.file}", call.request, _FOR_EVER)

        async def icon(call: Call[Nothing, Nothing, Nothing]) -> Response:
            return self._file("favicon.svg", call.request, "no-cache")

        unchanged = Answer(status=304, description="As the ETag in If-None-Match says.")
        yield Operation[Nothing, Nothing, Nothing](
            method="GET",
            path="/",
            name="get_page",
            tag=TAG,
            summary="The chat page",
            handler=first,
            answers=(Answer(description="The page.", media_type="text/html"), unchanged),
            security=(),
        )
        yield Operation[Asset, Nothing, Nothing](
            method="GET",
            path="/assets/{file}",
            name="get_asset",
            tag=TAG,
            summary="A part of the chat page",
            handler=asset,
            path_model=Asset,
            answers=(Answer(description="The file.", media_type="text/javascript"), unchanged),
            errors=(NotFound,),
            security=(),
        )
        yield Operation[Nothing, Nothing, Nothing](
            method="GET",
            path="/favicon.svg",
            name="get_favicon",
            tag=TAG,
            summary="The chat page's sign",
            handler=icon,
            answers=(Answer(description="The picture.", media_type="image/svg+xml"), unchanged),
            errors=(NotFound,),
            security=(),
        )

    def _first(self, request: Request, cookie: Mapping[str, str]) -> Response:
        headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            **cookie,
        }
        if not self.is_built:
            return Response(_NOT_BUILT, media_type="text/html", headers=headers)
        return self.files[_FIRST].response(request, headers)

    def _file(self, path: str, request: Request, caching: str) -> Response:
        if path not in self.files:
            raise NotFound("The page has no such file; it may have been built anew: reload it.")
        return self.files[path].response(request, {"Cache-Control": caching})
