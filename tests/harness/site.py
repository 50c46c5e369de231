"""A page of somebody else: a folder of files on an origin of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Site:
    folder: Path
    url: str
    #: Words that are replaced in files: the address that an example names by that of a running server, say.
    words: dict[str, str] = field(default_factory=dict)


class _Files(SimpleHTTPRequestHandler):
    def __init__(self, site: Site, *args: Any) -> None:
        self._site = site
        super().__init__(*args, directory=str(site.folder))

    def send_head(self) -> BytesIO | None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            # A browser asks for a sign of its own accord; that it gets none is no complaint.
            self.send_response(204 if path.name == "favicon.ico" else 404)
            return self.end_headers()
        content = path.read_text()
        for word, replacement in self._site.words.items():
            content = content.replace(word, replacement)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Length", str(len(content.encode())))
        self.end_headers()
        return BytesIO(content.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing: what a test wants to know it asks the browser."""


@contextmanager
def site_of(folder: Path) -> Iterator[Site]:
    """Serve a folder on a free port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        site = Site(folder, f"http://127.0.0.1:{server.server_port}")
        server.RequestHandlerClass = partial(_Files, site)  # type: ignore[assignment]
        thread = Thread(target=server.serve_forever, name="site")
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
