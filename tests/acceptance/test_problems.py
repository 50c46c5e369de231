"""Whatever is wrong with a request is told as a problem document, and what is wrong by name."""

from typing import Any

import pytest

from tests.harness.client import Client, Refused, read

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "request_", "expected"),
    [
        ("GET", "/api/v1/nothing", {}, {"status": 404, "code": "not_found"}),
        ("GET", "/nothing", {"headers": {"Accept": "text/html"}}, {"status": 404, "code": "not_found"}),
        ("GET", "/api/v1/generations/nonsense", {}, {"status": 404, "code": "not_found"}),
        ("PUT", "/api/v1/conversations", {}, {"status": 405, "code": "method_not_allowed"}),
        (
            "POST",
            "/api/v1/conversations",
            {"content": b"title=x", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
            {"status": 415, "code": "unsupported_media_type"},
        ),
        (
            "POST",
            "/api/v1/conversations",
            {"content": b"{", "headers": JSON},
            {"status": 400, "code": "malformed"},
        ),
        (
            "POST",
            "/api/v1/conversations",
            {"json": {"titel": "x"}},
            {"status": 422, "code": "invalid", "field": "titel"},
        ),
        ("POST", "/api/v1/conversations", {"json": {"title": 7}}, {"status": 422, "field": "title"}),
        ("POST", "/api/v1/generations", {"json": {}}, {"status": 422, "code": "invalid"}),
        (
            "POST",
            "/api/v1/generations",
            {"json": {"prompt": "a\x00b"}},
            {"status": 422, "code": "invalid", "field": "prompt"},
        ),
        (
            "POST",
            "/api/v1/generations",
            {"json": {"messages": [{"role": "user", "content": "a\x00b"}]}},
            {"status": 422, "field": "messages.0.content"},
        ),
        (
            "POST",
            "/api/v1/generations",
            {"json": {"prompt": "word " * 20_000}},
            {"status": 422, "code": "context_length"},
        ),
        (
            "POST",
            "/api/v1/conversations",
            {"content": b'{"title":"' + b"x" * 100_000 + b'"}', "headers": JSON},
            {"status": 413, "code": "too_large"},
        ),
        (
            "POST",
            "/api/v1/conversations",
            {"json": {}, "headers": {"Idempotency-Key": "x" * 65}},
            {"status": 422, "field": "Idempotency-Key"},
        ),
        ("GET", "/api/v1/generations?limit=51", {}, {"status": 422, "field": "limit"}),
        ("GET", "/api/v1/generations?cursor=x", {}, {"status": 422, "field": "cursor"}),
        ("GET", "/api/v1/generations?colour=red", {}, {"status": 422, "field": "colour"}),
    ],
)
async def test_a_wrong_request_gets_a_problem_document(
    client: Client, method: str, path: str, request_: dict[str, Any], expected: dict[str, object]
) -> None:
    answer = await client.http.request(method, path, **request_)
    with pytest.raises(Refused) as refused:
        read(answer)
    assert refused.value.problem.items() >= expected.items()
    assert refused.value.problem["detail"]


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ("a\x00b", {"field": "content"}),
        ("   ", {"field": "content"}),
        ("x" * 2001, {"field": "content", "limit": 2000}),
    ],
    ids=["NUL", "nothing", "too long"],
)
async def test_a_message_that_cannot_be_taken_is_refused_by_name(
    client: Client, content: str, facts: dict[str, object]
) -> None:
    conversation = await client.begin()
    with pytest.raises(Refused) as refused:
        await client.send(conversation, content)
    assert refused.value.problem.items() >= {"status": 422, "code": "invalid", **facts}.items()
    assert await client.messages(conversation) == []


async def test_what_is_refused_says_what_would_be_taken(client: Client) -> None:
    answer = await client.http.request("DELETE", "/api/v1/models")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_call_keeps_the_id_it_came_with(client: Client) -> None:
    answer = await client.http.get("/api/v1/nothing", headers={"X-Request-ID": "trace-7"})
    assert (answer.headers["x-request-id"], answer.json()["request_id"]) == ("trace-7", "trace-7")
