import asyncio
import json
from collections.abc import AsyncIterator

import orjson
import pytest
from starlette.requests import ClientDisconnect, Request

from chatserver.api.bodies import read_body, read_model
from chatserver.api.operation import routes
from chatserver.errors import Invalid, MalformedRequest, PayloadTooLarge, RequestTimeout, Unsupported
from chatserver.wire.inbound import Inbound, Text, parse_object, validated
from tests.unit.api.sample import LIMIT, dressed, sample_operations

MESSAGES = "/api/v1/conversations/conv_1/messages"
JSON = {"Content-Type": "application/json"}


class Note(Inbound):
    content: Text = ""
    count: int = 0
    tags: tuple[str, ...] = ()
    options: dict[str, object] | None = None


def request(*chunks: bytes, headers: dict[str, str] | None = None, ends: bool = True) -> Request:
    """A request whose body comes in `chunks`, and never ends unless it `ends`."""
    waiting = list(chunks)

    async def receive():
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting) or not ends}
        return await asyncio.Event().wait()

    given = {"content-type": "application/json", "transfer-encoding": "chunked", **(headers or {})}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


async def test_a_body_is_read_whole():
    assert await read_body(request(b"ab", b"", b"cd"), limit=4, deadline=10) == b"abcd"


async def test_a_body_of_a_known_size_is_refused_before_it_is_read():
    announced = request(headers={"content-length": "5"}, ends=False)

    with pytest.raises(PayloadTooLarge, match="larger than 4 bytes") as caught:
        await read_body(announced, limit=4, deadline=10)

    assert caught.value.facts == {"limit": 4}


async def test_a_body_of_unknown_size_is_refused_as_soon_as_it_is_too_large():
    with pytest.raises(PayloadTooLarge):
        await read_body(request(b"abc", b"de", ends=False), limit=4, deadline=10)


async def test_a_body_has_to_be_here_in_time():
    with pytest.raises(RequestTimeout, match=r"0\.01 seconds"):
        await read_body(request(b"ab", ends=False), limit=4, deadline=0.01)


async def test_a_client_that_leaves_is_no_error_of_ours():
    async def receive():
        return {"type": "http.disconnect"}

    leaving = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)

    with pytest.raises(ClientDisconnect):
        await read_body(leaving, limit=4, deadline=10)


@pytest.mark.parametrize("headers", [{"content-length": "0", "transfer-encoding": ""}, {}])
async def test_no_body_is_an_empty_object(headers):
    empty = request(b"", headers=headers)

    assert await read_model(empty, Note, limit=4, deadline=10) == Note()


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/jsonp"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-encoding": "gzip"},
    ],
)
async def test_only_plain_json_is_taken(headers):
    with pytest.raises(Unsupported):
        await read_model(request(b"{}", headers=headers), Note, limit=100, deadline=10)


@pytest.mark.parametrize(
    "media", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_may_name_its_encoding(media):
    assert (
        await read_model(request(b"{}", headers={"content-type": media}), Note, limit=100, deadline=10)
        == Note()
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b"\x00\x01\x02\xff",
        b'{"a": 1} trailing',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_not_strict_json_is_malformed(raw):
    with pytest.raises(MalformedRequest, match="isn't well-formed JSON"):
        parse_object(raw)


@pytest.mark.parametrize("raw", [b"[]", b"null", b"5", b'"text"', b"true"])
def test_a_body_that_is_no_object_is_invalid(raw):
    with pytest.raises(Invalid, match="must be a JSON object"):
        parse_object(raw)


def test_of_a_repeated_name_the_last_counts():
    assert parse_object('{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("depth", [220, 600])
def test_nesting_has_a_bound_below_which_everything_can_be_written_again(depth):
    nested = orjson.loads(f'{{"options": {{"a": {"[" * depth}{"]" * depth}}}}}')

    with pytest.raises(MalformedRequest, match="nested too deeply"):
        validated(Note, nested)


def test_a_number_beyond_64_bits_can_still_be_written():
    note = validated(Note, parse_object('{"options": {"seed": 123456789012345678901234567890}}'))

    assert orjson.loads(orjson.dumps(note.options)) == {"seed": 1.2345678901234568e29}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"count": "5"}, "count should be a valid integer."),
        ({"count": True}, "count should be a valid integer."),
        ({"content": 5}, "content should be a valid string."),
        ({"content": "a\x00b"}, "content must not contain the NUL character."),
        ({"tags": ["a", 1]}, "tags.1 should be a valid string."),
        ({"colour": 1}, "colour isn't known here."),
    ],
)
def test_fields_are_checked_strictly(given, sentence):
    with pytest.raises(Invalid) as caught:
        validated(Note, given)

    assert caught.value.detail == sentence


def test_json_lists_are_tuples_to_a_model():
    assert validated(Note, {"tags": ["a"]}).tags == ("a",)


async def sent(client, content, headers=JSON):
    return await client.post(MESSAGES, content=content, headers=headers)


@pytest.mark.parametrize(
    ("content", "status", "code", "field"),
    [
        (b"{", 400, "malformed", None),
        (b'{"content": "\xff"}', 400, "malformed", None),
        (bytes(range(256)), 400, "malformed", None),
        (b"[]", 422, "invalid", None),
        (b"{}", 422, "invalid", "content"),
        (b'{"content": 5}', 422, "invalid", "content"),
        (b'{"content": ""}', 422, "invalid", "content"),
        (b'{"content": "a\\u0000"}', 422, "invalid", "content"),
        (json.dumps({"content": "x" * 101}).encode(), 422, "invalid", "content"),
        (b'{"content": "x", "colour": 1}', 422, "invalid", "colour"),
        (b'{"content": "x", "options": {"temperature": 9}}', 422, "invalid", "options.temperature"),
        (b'{"content": "x", "options": {"stop": ["a", null]}}', 422, "invalid", "options.stop.1"),
        (b" " * (LIMIT + 1), 413, "too_large", None),
    ],
)
async def test_bad_bodies_are_refused_over_http(client, content, status, code, field):
    response = await sent(client, content)

    problem = response.json()
    assert (response.status_code, problem["code"], problem.get("field")) == (status, code, field)
    assert problem["request_id"] == response.headers["x-request-id"]


async def test_a_body_without_its_type_is_refused_over_http(client):
    response = await sent(client, b'{"content": "x"}', headers={})

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


async def test_a_chunked_body_is_counted_over_http(client):
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"content": "'
        for _ in range(10):
            yield b"x" * 500
        yield b'"}'

    response = await sent(client, chunks())

    assert (response.status_code, response.json()["limit"]) == (413, LIMIT)


async def raw_answer(address: str, request: str) -> bytes:
    """Send `request` and leave the connection open; everything that comes until the server closes it."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request.replace("\n", "\r\n").encode())
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_slow_body_is_answered_and_its_connection_closed(serving):
    head = f"POST {MESSAGES} HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 50\n\n"
    with serving(dressed(routes(sample_operations(), body_timeout_s=0.05))) as address:
        answer = await raw_answer(address, head + "{")

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


async def test_a_large_body_is_refused_before_it_comes(address):
    answer = await raw_answer(
        address,
        f"POST {MESSAGES} HTTP/1.1\nHost: x\nContent-Type: application/json\nConnection: close\n"
        f"Content-Length: {LIMIT + 1}\n\n",
    )

    assert answer.startswith(b"HTTP/1.1 413 ")
