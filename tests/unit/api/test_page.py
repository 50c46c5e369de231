import asyncio
import gzip
from pathlib import Path

import pytest
from starlette.applications import Starlette

from chatserver.api.operation import routes
from chatserver.api.page import ChatPage
from chatserver.api.problems import PROBLEM_HANDLERS
from tests.unit.asgi import Answer, call

SCRIPT = "assets/index-1a2b.js"


def get(page: ChatPage, path: str, headers: dict[str, str] | None = None) -> Answer:
    operations = page.operations(lambda _: {"Set-Cookie": "welcome=1"})
    app = Starlette(routes=list(routes(operations, 10)), exception_handlers=PROBLEM_HANDLERS)
    return asyncio.run(call(app, "GET", path, headers=headers))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>page")
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / SCRIPT).write_text("script()")
    (tmp_path / f"{SCRIPT}.gz").write_bytes(gzip.compress(b"script()"))
    (tmp_path.parent / "secret.js").write_text("secret")
    return tmp_path


@pytest.fixture
def page(folder) -> ChatPage:
    return ChatPage.read(folder)


def test_the_page_and_its_parts_are_served_as_what_they_are(page) -> None:
    for path, media_type in (
        ("/", "text/html"),
        ("/favicon.svg", "image/svg+xml"),
        (f"/{SCRIPT}", "text/javascript"),
    ):
        answer = get(page, path)
        assert answer.status == 200
        assert (answer.header("content-type") or "").startswith(media_type)
        assert answer.header("x-content-type-options") == "nosniff"


def test_the_page_may_load_its_own_things_and_nothing_else(page) -> None:
    policy = get(page, "/").header("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy


def test_only_the_page_itself_welcomes_whoever_opens_it(page) -> None:
    assert get(page, "/").header("set-cookie") == "welcome=1"
    assert get(page, f"/{SCRIPT}").header("set-cookie") is None


def test_parts_are_kept_for_ever_and_the_page_is_asked_for_each_time(page) -> None:
    assert "immutable" in (get(page, f"/{SCRIPT}").header("cache-control") or "")
    assert get(page, "/").header("cache-control") == "no-cache"


def test_parts_come_compressed_to_those_who_take_it(page) -> None:
    packed = get(page, f"/{SCRIPT}", {"accept-encoding": "br, gzip"})
    assert (packed.header("content-encoding"), gzip.decompress(packed.body)) == ("gzip", b"script()")
    for refused in ("", "br", "gzip;q=0"):
        plain = get(page, f"/{SCRIPT}", {"accept-encoding": refused})
        assert (plain.header("content-encoding"), plain.body) == (None, b"script()")
        assert plain.header("vary") == "Accept-Encoding"


def test_what_a_browser_has_already_is_not_sent_again(page) -> None:
    for path in ("/", f"/{SCRIPT}"):
        tag = get(page, path).header("etag") or ""
        for given in (tag, f"W/{tag}", f'"other", {tag}'):
            again = get(page, path, {"if-none-match": given})
            assert (again.status, again.body, again.header("etag")) == (304, b"", tag)
        assert get(page, path, {"if-none-match": '"other"'}).status == 200


def test_only_what_was_built_is_served(page) -> None:
    for path in (
        "/assets/other.js",
        "/assets/..%2Findex.html",
        "/assets/%2E%2E%2F..%2Fsecret.js",
        f"/{SCRIPT}.gz",
    ):
        assert get(page, path).status == 404


def test_a_page_that_is_built_anew_meanwhile_does_not_mix_with_the_one_before(page, folder) -> None:
    (folder / "index.html").write_text("another")
    (folder / SCRIPT).unlink()
    assert get(page, "/").body == b"<!doctype html>page"
    assert get(page, f"/{SCRIPT}").status == 200


def test_without_a_built_page_people_are_told_how_to_build_it_and_known_all_the_same(tmp_path: Path) -> None:
    answer = get(ChatPage.read(tmp_path / "nowhere"), "/")
    assert (answer.status, answer.header("set-cookie")) == (200, "welcome=1")
    assert b"make page" in answer.body
    assert get(ChatPage.read(tmp_path), "/assets/index.js").json["code"] == "not_found"
