import asyncio
from pathlib import Path

import pytest
from starlette.applications import Starlette

from chatserver.api.operation import routes
from chatserver.api.page import Page
from chatserver.api.problems import PROBLEM_HANDLERS
from tests.unit.asgi import Answer, call


def get(page: Page, path: str, headers: dict[str, str] | None = None) -> Answer:
    operations = page.operations(lambda _: {"Set-Cookie": "welcome=1"})
    app = Starlette(routes=list(routes(operations)), exception_handlers=PROBLEM_HANDLERS)
    return asyncio.run(call(app, "GET", path, headers=headers))


@pytest.fixture
def page() -> Page:
    return Page.find()


def test_the_page_is_found_in_the_source_tree_with_all_its_parts(page) -> None:
    for operation in page.operations(lambda _: {}):
        answer = get(page, operation.path)
        assert answer.status == 200
        assert (answer.header("content-type") or "").startswith(operation.answers[0].media_type)
        assert answer.header("x-content-type-options") == "nosniff"


def test_every_part_that_the_page_names_is_served(page) -> None:
    served = {operation.path for operation in page.operations(lambda _: {})}
    there = {path.name for path in page.folder.iterdir() if path.is_file()}
    assert {f"/{name}" for name in there - {"index.html"}} <= served


def test_the_page_may_load_its_own_things_and_nothing_else(page) -> None:
    policy = get(page, "/").header("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    html = get(page, "/").body
    assert b"<script>" not in html
    assert b'src="http' not in html


def test_only_the_page_itself_welcomes_whoever_opens_it(page) -> None:
    assert get(page, "/").header("set-cookie") == "welcome=1"
    assert get(page, "/page.css").header("set-cookie") is None


def test_what_a_browser_has_already_is_not_sent_again(page) -> None:
    tag = get(page, "/page.js").header("etag") or ""
    for given in (tag, f"W/{tag}", f'"other", {tag}'):
        again = get(page, "/page.js", {"if-none-match": given})
        assert (again.status, again.body, again.header("etag")) == (304, b"", tag)
    assert get(page, "/page.js", {"if-none-match": '"other"'}).status == 200


def test_without_its_files_it_says_so_in_a_sentence(tmp_path: Path) -> None:
    for path in ("/", "/page.js"):
        answer = get(Page(tmp_path), path)
        assert (answer.status, answer.json["code"]) == (404, "not_found")
        assert "The chat page isn't here" in answer.json["detail"]
