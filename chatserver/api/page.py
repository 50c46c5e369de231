"""The chat page: a few files, served as they are."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.errors import NotFound

TAG = "Page"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "connection.js": "text/javascript",
    "transcript.js": "text/javascript",
    "words.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Page:
    #: Where the files are.
    folder: Path

    @classmethod
    def find(cls) -> "Page":
        """Find the page beside this file, where a wheel has it, or in the source tree."""
        installed = Path(__file__).with_suffix("")
        return cls(installed if installed.is_dir() else Path(__file__).parents[2] / "frontend_shim" / "page")

    def operations(
        self, welcome: Callable[[Request], dict[str, str]]
    ) -> Iterable[Operation[Nothing, Nothing, Nothing]]:
        for file, media_type in _TYPES.items():
            path = "/" if file == "index.html" else f"/{file}"
            yield Operation[Nothing, Nothing, Nothing](
                method="GET",
                path=path,
                name=f"get_{file.replace('.', '_')}",
                tag=TAG,
                summary="The chat page" if path == "/" else "A part of the chat page",
                handler=self._server(file, media_type, welcome),
                answers=(
                    Answer(description="The file.", media_type=media_type),
                    Answer(status=304, description="As the ETag in If-None-Match says."),
                ),
                errors=(NotFound,),
                security=(),
            )

    def _server(self, file: str, media_type: str, welcome: Callable[[Request], dict[str, str]]) -> Any:
        async def serve(call: Call[Nothing, Nothing, Nothing]) -> Response:
            content = self._content(file)
            tag = f'"{sha256(content).hexdigest()[:24]}"'
            headers = {"ETag": tag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
            if file == "index.html":
                headers |= {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
                headers |= welcome(call.request)
            # A list, or weakened by a proxy that compresses, it still names what the browser has.
            if tag in call.request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
            return Response(content, media_type=media_type, headers=headers)

        return serve

    def _content(self, file: str) -> bytes:
        try:
            return (self.folder / file).read_bytes()
        except OSError:
            raise NotFound(
                "The chat page isn't here: install the package, or serve from the source tree."
            ) from None
