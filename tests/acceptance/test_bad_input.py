"""Whatever comes in: it is refused by name or its connection is closed, and the next is served as ever."""

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import orjson
import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from tests.harness.client import Client, Refused, read
from tests.harness.figures import figure
from tests.harness.raw import Raw, raw, raw_socket, request
from tests.harness.readers import TRANSPORTS, Transport, read_whole
from tests.harness.readers import read as read_by
from tests.harness.received import Frame, Received
from tests.harness.service import Service
from tests.harness.sse import EventParser, stream
from tests.harness.websocket import Socket, socket

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _still_serves(service: Service) -> AsyncIterator[None]:
    """Have a turn answered after each test, and see that nothing went wrong inside the server."""
    failed = await figure(service.client, "http_requests_total", status="500")
    yield
    received = await read_whole(service.client, await service.client.ask("Hi. [[tokens=2]]"))
    assert received.answer
    assert await figure(service.client, "http_requests_total", status="500") == failed
    assert service.server.complaints == []


async def _say(opened: Socket, text: str) -> Frame:
    """Send a text as it is; the answer, on a connection that lives on."""
    await opened.connection.send(text)
    answer = await opened.receive()
    assert (await opened.ask("ping"))["type"] == "pong"
    return answer


async def _ready(opened: Socket) -> None:
    assert (await opened.receive())["type"] == "ready"


# What is wrong in a turn: the same over HTTP and over a WebSocket. JSON without its first brace.
TURNS = [
    ("no end", '"content":"Hi"', 400, None),
    ("no JSON", '"content":Hi}', 400, None),
    ("two values", '"content":"Hi"}{}', 400, None),
    ("NaN", '"content":NaN}', 400, None),
    ("half a pair", '"content":"\\ud800"}', 400, None),
    ("the other half", '"content":"a\\udc00b"}', 400, None),
    ("control character", '"content":"a\x01b"}', 400, None),
    ("depth", '"options":' + '{"a":' * 2000 + "1" + "}" * 2001, 400, None),
    ("huge number", '"content":"Hi","options":{"seed":1' + "0" * 400 + "}}", 400, None),
    ("no content", '"parent":null}', 422, "content"),
    ("null", '"content":null}', 422, "content"),
    ("number", '"content":7}', 422, "content"),
    ("list", '"content":["Hi"]}', 422, "content"),
    ("object", '"content":{"text":"Hi"}}', 422, "content"),
    ("nothing", '"content":""}', 422, "content"),
    ("white space", '"content":" \\n\\t\\u2003"}', 422, "content"),
    ("too long", '"content":"' + "x" * 2001 + '"}', 422, "content"),
    ("NUL", '"content":"a\\u0000b"}', 422, "content"),
    ("unknown field", '"content":"Hi","colour":"red"}', 422, "colour"),
    ("unknown field inside", '"content":"Hi","options":{"num_ctx":9}}', 422, "options.num_ctx"),
    ("wrong type inside", '"content":"Hi","options":{"temperature":"1"}}', 422, "options.temperature"),
    ("wrong type deep inside", '"content":"Hi","options":{"stop":["a",1]}}', 422, "options.stop.1"),
    ("beyond its range", '"content":"Hi","options":{"temperature":11}}', 422, "options.temperature"),
    ("model of no name", '"content":"Hi","model":""}', 422, "model"),
    ("NUL in a name", '"content":"Hi","model":"a\\u0000"}', 422, "model"),
    ("parent of no kind", '"content":"Hi","parent":["a"]}', 422, "parent"),
    ("parent too long", '"content":"Hi","parent":"' + "x" * 65 + '"}', 422, "parent"),
    ("unknown parent", '"content":"Hi","parent":"msg_00000000000000000000aa"}', 404, None),
]


@pytest.mark.parametrize(
    ("wrong", "status", "field"), [row[1:] for row in TURNS], ids=[row[0] for row in TURNS]
)
async def test_a_turn_that_is_wrong_is_refused_by_name_and_stores_nothing(
    service: Service, client: Client, wrong: str, status: int, field: str | None
) -> None:
    conversation = await client.begin()
    answer = await client.http.post(
        f"/api/v1/conversations/{conversation}/messages", content="{" + wrong, headers=JSON
    )
    with pytest.raises(Refused) as refused:
        read(answer)
    async with socket(service.url) as opened:
        await _ready(opened)
        head = f'{{"type":"send","ref":"{uuid4()}","conversation":"{conversation}",'
        error = await _say(opened, head + wrong)
    for problem in (refused.value.problem, error):
        assert (problem["status"], problem.get("field")) == (status, field), problem
        assert problem["detail"].endswith(".")
    assert await client.messages(conversation) == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"prompt": 7}, 422, "prompt"),
        ({"prompt": ""}, 422, "prompt"),
        ({"prompt": "a\x00b"}, 422, "prompt"),
        ({"prompt": "Hi", "messages": []}, 422, "messages"),
        ({"prompt": "Hi", "messages": [{"role": "user", "content": "Hi"}]}, 422, None),
        ({"messages": [{"role": "user"}] * 10_001}, 422, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, 422, "messages.0.role"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, 422, "messages.0.content"),
        ({"prompt": "Hi", "images": ["data:image/png;base64,AA"]}, 422, "images.0"),
        ({"prompt": "Hi", "images": [""]}, 422, "images.0"),
        ({"prompt": "Hi", "images": "AAAA"}, 422, "images"),
        ({"prompt": "Hi", "format": "xml"}, 422, "format"),
        ({"prompt": "Hi", "tools": {}}, 422, "tools"),
        ({"prompt": "Hi", "think": "a lot"}, 422, "think"),
        ({"prompt": "Hi", "priority": "now"}, 422, "priority"),
        ({"prompt": "Hi", "expires_in": -1}, 422, "expires_in"),
        ({"prompt": "Hi", "expires_in": 10**9}, 422, "expires_in"),
        ({"prompt": "Hi", "metadata": ["a"]}, 422, "metadata"),
        ({"prompt": "Hi", "stream": True}, 422, "stream"),
        ({"prompt": "Hi", "model": "nobody-has-this:latest"}, None, None),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_work_that_is_wrong_is_refused_by_name(
    client: Client, body: dict[str, Any], status: int | None, field: str | None
) -> None:
    answer = await client.http.post("/api/v1/generations", json=body)
    if status is None:
        # Only the model servers know all names: such work is taken, and ends with the reason.
        received = await read_whole(client, answer.json()["generation"]["id"])
        assert received.end is not None
        assert received.end["error"]["code"] == "model_not_found"
        return
    with pytest.raises(Refused) as refused:
        read(answer)
    assert (refused.value.problem["status"], refused.value.problem.get("field")) == (status, field)


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b'{"title":"\xed\xa0\x80"}', b'{"title":"\xc3"}', b"\x00", b"[]"]
)
async def test_a_body_that_is_no_text_is_refused(client: Client, body: bytes) -> None:
    answer = await client.http.post("/api/v1/conversations", content=body, headers=JSON)
    with pytest.raises(Refused) as refused:
        read(answer)
    assert refused.value.problem["status"] in {400, 422}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (
            "/generations/{id}/events",
            {"after": ["x", "1", "-1.0", "1.2.3", "01.1", "1.1 ", "٣.1", "1e3.1", ""]},
        ),
        ("/generations/{id}/events", {"after": ["1." + "9" * 13, "9" * 65, "1.1%00", "1.1%0A"]}),
        ("/generations/{id}/events", {"wait": ["-1", "31", "nan", "inf", "1e400", "x", "", "9" * 400]}),
        ("/generations/{id}/events", {"colour": ["red"]}),
        ("/generations", {"limit": ["0", "-1", "51", "1.5", "x", "", "9" * 400, "true"]}),
        ("/generations", {"status": ["done", ""], "cursor": ["x", "%00", "x" * 257]}),
        ("/conversations", {"limit": ["0", "51", "x"], "cursor": ["x", "%ED%A0%80x", "x" * 257]}),
        ("/conversations/{conversation}/messages", {"limit": ["0", "51"], "before": ["", "x" * 65]}),
        ("/conversations/{conversation}/messages", {"leaf": ["", "x" * 65], "page": ["1"]}),
        ("/conversations/{conversation}/events", {"after": ["-1", "x", "1.1", "9" * 16, "٣", ""]}),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_question_that_is_wrong_is_refused_by_name(
    client: Client, path: str, names: dict[str, list[str]]
) -> None:
    conversation = await client.begin()
    generation = (await client.send(conversation, "Hi. [[tokens=1]]"))["generation"]["id"]
    path = f"/api/v1{path.format(id=generation, conversation=conversation)}"
    for name, values in names.items():
        for value in values:
            answer = await client.http.get(f"{path}?{name}={value}", headers={"Accept": "application/json"})
            with pytest.raises(Refused) as refused:
                read(answer)
            problem = refused.value.problem
            # A query that is no UTF-8 has no names either.
            wanted = (400, None) if "%ED" in value else (422, name)
            assert (problem["status"], problem.get("field")) == wanted, (name, value)


async def test_a_position_that_nobody_gave_out_is_refused_over_every_transport(
    service: Service, client: Client
) -> None:
    generation = await client.ask("Hi. [[tokens=2]]")
    await read_whole(client, generation)
    path = f"/generations/{generation}/events"
    for position in ("x", "1", "1.2.3", "01.1", "1." + "9" * 13):
        for headers in (
            {"Last-Event-ID": position},
            {"Last-Event-ID": position, "Accept": "text/event-stream"},
        ):
            with pytest.raises(Refused) as refused:
                read(await client.http.get(f"/api/v1{path}?after=1.1", headers=headers))
            assert (refused.value.problem["status"], refused.value.problem["field"]) == (422, "after")
        with pytest.raises(Refused) as refused:
            async with stream(client, f"{path}?after={position}"):
                pass
        assert refused.value.problem["code"] == "malformed_position"
        async with socket(service.url) as opened:
            await _ready(opened)
            answer = await opened.ask("subscribe", generation=generation, after=position)
            assert (answer["status"], answer["code"], answer["field"]) == (422, "malformed_position", "after")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("position", ["1.999", "9.9", "999999999.999999999999", "0.1"])
async def test_a_position_that_is_not_known_gets_a_reset_and_the_whole(
    client: Client, transport: Transport, position: str
) -> None:
    whole = await read_whole(client, await client.ask("Hi. [[tokens=5]]"))
    received = await read_by(client, Received(whole.generation, after=position), transport)
    assert received.resets == ["position_unknown"]
    assert (received.answer, received.end) == (whole.answer, whole.end)


async def test_a_change_beyond_the_newest_gets_a_reset(service: Service, client: Client) -> None:
    conversation = await client.begin()
    path = f"/conversations/{conversation}/events?after=999999999999999"
    (event,) = (await client.call("GET", path))["events"]
    assert event["type"] == "reset"
    async with stream(client, path) as events:
        assert [(await anext(events)).name for _ in range(2)] == ["hello", "reset"]
    async with socket(service.url) as opened:
        await opened.ask("watch", conversation=conversation, after=999_999_999_999_999)
        assert [(await opened.receive())["type"] for _ in range(2)] == ["ready", "reset"]


@pytest.mark.parametrize(
    "name", ["gen_1", "conv_00000000000000000000aa", "%00", "..", "%2e%2e%2f", "x" * 2000, "'--"]
)
async def test_what_nobody_knows_is_not_found_anywhere(service: Service, client: Client, name: str) -> None:
    for method, path in (
        ("GET", "generations/{}"),
        ("GET", "generations/{}/events"),
        ("POST", "generations/{}/cancel"),
        ("GET", "conversations/{}"),
        ("GET", "conversations/{}/messages"),
        ("GET", "conversations/{}/events"),
    ):
        answer = await client.http.request(method, f"/api/v1/{path.format(name)}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    async with socket(service.url) as opened:
        for kind, what in (("subscribe", "generation"), ("cancel", "generation"), ("watch", "conversation")):
            answer = await opened.ask(kind, **{what: name})
            assert answer["status"] == (422 if len(name) > 64 else 404)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", None),
        ("null", None),
        ("[" * 5000, None),
        ('"send"', None),
        ('{"type":"send"}', "ref"),
        ('{"type":"send","ref":"","conversation":"c","content":"Hi"}', "ref"),
        ('{"type":"send","ref":"a b","conversation":"c","content":"Hi"}', "ref"),
        ('{"type":"send","ref":"é","conversation":"c","content":"Hi"}', "ref"),
        ('{"type":"send","ref":"' + "r" * 65 + '","conversation":"c","content":"Hi"}', "ref"),
        ('{"type":"send","ref":"r","conversation":7,"content":"Hi"}', "conversation"),
        ('{"type":"subscribe","generation":null}', "generation"),
        ('{"type":"subscribe","generation":"g","after":7}', "after"),
        ('{"type":"watch","conversation":"c","after":-1}', "after"),
        ('{"type":"watch","conversation":"c","after":1e300}', "after"),
        ('{"type":"watch","conversation":"c","after":true}', "after"),
        ('{"type":"ping","ref":[]}', "ref"),
        ('{"type":"ping","type":"dance"}', "type"),
        ('{"type":"Ping"}', "type"),
        ('{"type":"accepted"}', "type"),
        ('{"type":"unsubscribe","conversation":"c"}', "generation"),
    ],
)
async def test_a_message_that_is_wrong_is_answered_and_the_connection_lives_on(
    service: Service, text: str, field: str | None
) -> None:
    async with socket(service.url) as opened:
        await _ready(opened)
        error = await _say(opened, text)
    assert (error["type"], error.get("field")) == ("error", field)
    assert error["status"] in {400, 422}


async def test_binary_frames_are_errors_however_large(service: Service) -> None:
    async with socket(service.url) as opened:
        await _ready(opened)
        for size in (0, 1, 60_000):
            await opened.connection.send(b"\xff" * size)
            answer = await opened.receive()
            assert (answer["type"], answer["code"]) == ("error", "malformed")
        assert (await opened.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize("message", ["x" * 2**20, b"x" * 2**20], ids=["text", "binary"])
@pytest.mark.parametrize("pieces", [1, 100])
async def test_a_megabyte_in_one_message_closes_the_connection(
    service: Service, message: str | bytes, pieces: int
) -> None:
    async with socket(service.url) as opened:
        await _ready(opened)
        step = len(message) // pieces
        with suppress(ConnectionClosed):
            await opened.connection.send([message[at : at + step] for at in range(0, len(message), step)])
            await opened.receive()
        assert opened.connection.close_code == 1009


async def test_a_megabyte_is_too_large_for_a_turn(client: Client) -> None:
    conversation = await client.begin()
    with pytest.raises(Refused) as refused:
        await client.send(conversation, "x" * 1_000_000)
    assert (refused.value.problem["status"], refused.value.problem["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "message", [{"type": "ping"}, {"type": "send", "ref": "r", "conversation": "c", "content": "Hi"}]
)
async def test_ten_thousand_messages_at_once_end_their_connection_and_nobody_elses(
    service: Service, message: Frame
) -> None:
    async with socket(service.url) as other, raw_socket(service.url) as hostile:
        await _ready(other)
        text = orjson.dumps(message).decode()
        for _ in range(10_000):
            hostile.text(text)
        closing = asyncio.create_task(hostile.close_code())
        async with asyncio.timeout(5):
            assert (await other.ask("ping"))["type"] == "pong"
        assert await closing == 4429


async def _ping(opened: Socket, hundreds: int) -> None:
    """The next hundred only when these are answered."""
    for _ in range(hundreds):
        for _ in range(100):
            await opened.say("ping")
        for _ in range(100):
            assert (await opened.receive())["type"] == "pong"


async def test_hundreds_of_messages_are_answered_and_thousands_end_their_connection(service: Service) -> None:
    async with socket(service.url) as opened:
        await _ready(opened)
        await _ping(opened, hundreds=2)
        with pytest.raises(ConnectionClosed) as closed:
            await _ping(opened, hundreds=98)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4429


async def test_half_a_handshake_and_then_nothing_harms_nobody(service: Service) -> None:
    whole = request(
        "GET", "/api/v1/ws", "upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13"
    )
    before = await figure(service.client, "sockets")
    for length in range(1, len(whole), 7):
        async with raw(service.url) as one:
            one.say(whole[:length])
            await one.writer.drain()
    async with asyncio.timeout(5):
        while await figure(service.client, "sockets") > before:
            pass


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("sec-websocket-version: 13",),
        ("sec-websocket-version: 13", "sec-websocket-key: short"),
        ("sec-websocket-version: 12", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="),
        ("sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", "x: " + "x" * 9000),
        ("sec-websocket-version: 13", *(f"x-{n}: y" for n in range(300))),
    ],
)
async def test_a_handshake_that_is_wrong_is_refused(service: Service, headers: tuple[str, ...]) -> None:
    async with raw(service.url) as one:
        one.say(request("GET", "/api/v1/ws", "upgrade: websocket", "connection: upgrade", *headers))
        said = await one.rest()
    assert 400 <= int(said.split(b" ", 2)[1]) < 500


def _narrow(plain: sockets.socket) -> None:
    """Ask for a window of 16 bytes; the kernel makes it the smallest it allows."""
    plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 16)
    plain.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_WINDOW_CLAMP, 16)


async def _sip(connection: Raw, until: bytes) -> bytes:
    """Read sixteen bytes at a time."""
    said = b""
    async with asyncio.timeout(30):
        while until not in said[-200:]:
            sip = await connection.reader.read(16)
            assert sip, "closed"
            said += sip
    return said


@pytest.mark.parametrize("way", ["sse", "longpoll", "websocket"])
async def test_who_takes_sixteen_bytes_at_a_time_gets_the_whole_answer(
    service: Service, client: Client, way: str
) -> None:
    whole = await read_whole(client, await client.ask("Hi. [[tokens=100]]"))
    path, received = f"/api/v1/generations/{whole.generation}/events", Received(whole.generation)
    if way == "websocket":
        async with raw_socket(service.url, _narrow) as opened:
            opened.text(orjson.dumps({"type": "subscribe", "generation": whole.generation}).decode())
            assert (await opened.frame())["type"] == "ok"
            while received.end is None:
                received.take(await opened.frame())
    else:
        async with raw(service.url, _narrow) as one:
            accept = "text/event-stream" if way == "sse" else "application/json"
            one.say(request("GET", path, f"accept: {accept}", "connection: close"))
            said = await _sip(one, b"0\r\n\r\n" if way == "sse" else b'"ended":true}')
        for frame in _frames(said):
            received.take(frame)
    assert (received.answer, received.end) == (whole.answer, whole.end)


def _frames(said: bytes) -> list[Frame]:
    """Find the frames of a log in a response as it came."""
    head, _, body = said.partition(b"\r\n\r\n")
    if b"text/event-stream" not in head.lower():
        return list(orjson.loads(body)["events"])
    chunks = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        chunks, body = chunks + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return [event.data for event in EventParser().feed(chunks) if event.id is not None]


async def test_text_that_is_no_utf8_closes_the_connection(service: Service) -> None:
    for wrong in (b"\xff", b'{"type":"ping","ref":"\xed\xa0\x80"}', b"\xc3"):
        async with raw_socket(service.url) as opened:
            opened.say(Opcode.TEXT, wrong)
            assert await opened.close_code() == 1007
