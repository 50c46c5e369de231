import asyncio
from pathlib import Path

import pytest
from starlette.applications import Starlette

from chatserver.api.library import Library
from chatserver.api.operation import routes
from chatserver.api.problems import PROBLEM_HANDLERS
from tests.unit.asgi import Answer, call


def get(library: Library, path: str, headers: dict[str, str] | None = None) -> Answer:
    app = Starlette(routes=list(routes(library.operations(), 10)), exception_handlers=PROBLEM_HANDLERS)
    return asyncio.run(call(app, "GET", path, headers=headers))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    (tmp_path / "client.js").write_text("export {};")
    (tmp_path / "client.js.gz").write_bytes(b"packed")
    (tmp_path / "secret.txt").write_text("no module")
    return Library.read(tmp_path)


def test_a_module_is_served_as_it_was_built_and_asked_about_each_time(library) -> None:
    answer = get(library, "/client/client.js")
    assert (answer.status, answer.body) == (200, b"export {};")
    assert (answer.header("content-type") or "").startswith("text/javascript")
    assert answer.header("cache-control") == "no-cache"
    again = get(library, "/client/client.js", {"if-none-match": answer.header("etag") or ""})
    assert (again.status, again.body) == (304, b"")


def test_who_takes_it_compressed_gets_it_so(library) -> None:
    answer = get(library, "/client/client.js", {"accept-encoding": "br, gzip"})
    assert (answer.header("content-encoding"), answer.body) == ("gzip", b"packed")


@pytest.mark.parametrize("file", ["secret.txt", "other.js", "..%2fclient.js", "client.js.gz"])
def test_nothing_else_is_there(library, file) -> None:
    assert get(library, f"/client/{file}").status == 404


def test_a_server_without_it_says_how_to_build_it(tmp_path) -> None:
    answer = get(Library.read(tmp_path / "nowhere"), "/client/client.js")
    assert answer.status == 404
    assert "make page" in answer.json["detail"]
