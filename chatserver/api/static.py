"""A file that stays as it is until the process ends: read or made at the start, served to browsers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Self

from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class StaticFile:
    content: bytes
    media_type: str
    #: The same, gzipped, where that was built too.
    compressed: bytes | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        packed = path.with_name(f"{path.name}.gz")
        compressed = packed.read_bytes() if packed.is_file() else None
        return cls(path.read_bytes(), MEDIA_TYPES[path.suffix], compressed)

    @cached_property
    def tag(self) -> str:
        return f'"{sha256(self.content).hexdigest()[:24]}"'

    def response(self, request: Request, headers: Mapping[str, str]) -> Response:
        told = {"ETag": self.tag, "X-Content-Type-Options": "nosniff", **headers}
        if self.compressed is not None:
            told["Vary"] = "Accept-Encoding"
        # A list, or weakened by a proxy that compresses, it still names what the browser has.
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=told)
        if self.compressed is None or not _takes_gzip(request):
            return Response(self.content, media_type=self.media_type, headers=told)
        told["Content-Encoding"] = "gzip"
        return Response(self.compressed, media_type=self.media_type, headers=told)


def _takes_gzip(request: Request) -> bool:
    offered = [part.strip().lower() for part in request.headers.get("accept-encoding", "").split(",")]
    return "gzip" in offered
