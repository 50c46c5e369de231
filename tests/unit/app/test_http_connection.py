"""What is done with a connection before and between its requests, over real sockets."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any

import orjson
import pytest
import pytest_asyncio
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from chatserver.access.visitors import LOCAL
from tests.harness.raw import request
from tests.unit.app.test_serve import Serving, serving
from tests.unit.clock import LoopTime, loop_time

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASK = b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
HANDSHAKE = (
    b"GET /api/v1/ws HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
#: Seconds for a head; they only pass where a test says so.
DEADLINE_S = 3


@dataclass
class Peer:
    """A client that says what a test says, byte by byte if need be."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def heard(self) -> None:
        """Wait until the server has what was said."""
        out = self.writer.get_extra_info("socket")
        while int.from_bytes(ioctl(out, TIOCOUTQ, bytes(4)), sys.byteorder):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0)
        # It is in the kernel: now it is accepted, looked for, and read.
        for _ in range(10):
            await asyncio.sleep(0)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body

    async def problem(self) -> Any:
        """Read the problem document with which the server closes."""
        status, headers, body = await self.answer()
        problem = orjson.loads(body)
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        assert headers["x-content-type-options"] == "nosniff"
        assert (problem["status"], problem["request_id"]) == (status, headers["x-request-id"])
        assert await self.rest() == b""
        return problem

    async def rest(self) -> bytes:
        """Give all that comes until the server closes."""
        async with asyncio.timeout(5):
            return await self.reader.read()


@asynccontextmanager
async def peer_of(served: Serving) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection(*served.http.base_url.netloc.decode().split(":"))
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    folder, limits = tmp_path_factory.mktemp("data"), {"head_timeout_s": DEADLINE_S, "head_bytes": 1024}
    async with serving(folder, server__grace_s=1.0, **{f"limits__{k}": v for k, v in limits.items()}) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def one(served: Serving) -> AsyncIterator[Peer]:
    async with peer_of(served) as peer:
        yield peer


@pytest_asyncio.fixture(loop_scope="module")
async def moved() -> LoopTime:
    return loop_time()


def figure(served: Serving, name: str, **labels: str) -> float:
    return served.works.parts.metrics.registry.get_sample_value(f"chatserver_{name}", labels) or 0


async def sockets_left(served: Serving, count: int) -> None:
    async with asyncio.timeout(5):
        while figure(served, "sockets") != count:  # noqa: ASYNC110 - nobody is told of a socket's end
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("said", [ASK[:20], HANDSHAKE[:-2], ASK + ASK[:20], ASK + b"\r\n\r\nG"])
async def test_half_a_head_has_so_long_to_become_whole(served, one, moved, said) -> None:
    before = figure(served, "rejected_total", code="request_timeout")
    one.say(said)
    if said.startswith(ASK):
        assert (await one.answer())[0] == 200
    await one.heard()
    moved.passes(1.01 * DEADLINE_S)
    assert (await one.problem())["code"] == "request_timeout"
    assert figure(served, "rejected_total", code="request_timeout") == before + 1
    one.writer.close()
    await sockets_left(served, 0)


async def test_a_head_that_trickles_gets_no_more_time_with_each_byte(one, moved) -> None:
    problem = asyncio.create_task(one.problem())
    one.say(b"GET / HTTP/1.1\r\nx: ")
    for _ in range(9):
        await one.heard()
        assert not problem.done()
        one.say(b"x")
        moved.passes(DEADLINE_S / 10)
    moved.passes(2 * DEADLINE_S / 10)
    assert (await problem)["code"] == "request_timeout"


async def test_who_never_says_anything_is_let_go_without_a_word(one, moved) -> None:
    await one.heard()
    moved.passes(1.01 * DEADLINE_S)
    assert await one.rest() == b""


async def test_line_ends_between_two_requests_keep_nothing_open(one, moved) -> None:
    one.say(ASK)
    assert (await one.answer())[0] == 200
    one.say(b"\r\n")
    await one.heard()
    moved.passes(1.01 * DEADLINE_S)
    assert await one.rest() == b""


async def test_a_body_that_nobody_reads_keeps_nothing_open(one, moved) -> None:
    one.say(ASK[:-2] + b"content-length: 1000\r\n\r\n")
    assert (await one.answer())[0] == 200
    one.say(b"x")
    await one.heard()
    moved.passes(1.01 * DEADLINE_S)
    assert await one.rest() == b""


async def test_whole_heads_have_no_deadline(served, one, moved) -> None:
    async with peer_of(served) as socket:
        socket.say(HANDSHAKE)
        await socket.reader.readuntil(b"\r\n\r\n")
        ready = await socket.reader.readexactly(2)
        one.say(ASK)
        assert (await one.answer())[0] == 200
        moved.passes(3 * DEADLINE_S)
        # The one waits for its next request, the other for messages.
        one.say(ASK)
        assert (await one.answer())[0] == 200
        assert ready[0] == 0x81
        assert figure(served, "connections", transport="websocket") == 1


@pytest.mark.parametrize(
    "said",
    [
        b"GET /" + b"x" * 3000 + ASK[16:],
        ASK[:-2] + b"x: " + b"x" * 3000,
        ASK[:-2] + b"".join(b"x-%d: yy\r\n" % n for n in range(500)),
        ASK + ASK[:-2] + b"x: " + b"x" * 3000 + b"\r\n\r\n",
    ],
    ids=["address", "endless header", "many headers", "second head"],
)
async def test_a_head_that_is_too_large_is_refused(one, said) -> None:
    one.say(said)
    if said.startswith(ASK):
        # It came with the first, which may or may not have been answered.
        assert b"head_too_large" not in (await one.rest()).split(b"\r\n\r\n")[0]
    else:
        problem = await one.problem()
        assert (problem["status"], problem["code"], problem["limit"]) == (431, "head_too_large", 1024)


async def test_a_header_without_an_end_is_not_collected(one) -> None:
    one.say(ASK[:-2] + b"x: ")
    for _ in range(100):
        one.say(b"x" * 100)
        await asyncio.sleep(0)
    assert (await one.problem())["code"] == "head_too_large"


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length : 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length: -3\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\nx: y\x00z\r\n\r\n",
        b"GET /\x80 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    ],
)
async def test_what_is_no_http_or_could_be_read_in_two_ways_is_refused(one, said) -> None:
    one.say(said)
    problem = await one.problem()
    assert (problem["status"], problem["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "body",
    [b"-2\r\n{}\r\n", b"f" * 17 + b"\r\n{}\r\n", b"2\n{}\n0\n\n", b"2\r\n{}x\r\n", b"0\r\nx:" + b"y" * 2000],
    ids=["below nothing", "beyond all", "bare line ends", "longer than told", "endless trailer"],
)
async def test_a_body_that_breaks_off_in_nonsense_is_refused_like_a_head(served, one, body) -> None:
    head = request(
        "POST", "/api/v1/conversations", "content-type: application/json", "transfer-encoding: chunked"
    )
    with capture_logs() as lines:
        one.say(head)
        await one.heard()
        one.say(body)
        assert (await one.problem())["code"] in {"bad_request", "head_too_large"}
    assert [line for line in lines if line["log_level"] != "info"] == []


async def test_requests_ahead_are_answered_in_order_up_to_a_bound(served, one) -> None:
    async with peer_of(served) as greedy:
        one.say(ASK * 10)
        assert [(await one.answer())[0] for _ in range(10)] == [200] * 10
        greedy.say(ASK * 5000)
        answered = b""
        with suppress(ConnectionResetError):
            while chunk := await greedy.reader.read(65536):
                answered += chunk
        assert answered.count(b"HTTP/1.1 200") < 20


async def test_a_request_sent_ahead_is_not_logged_as_the_one_before_it(served, monkeypatch) -> None:
    application, bound = served.server.config.loaded_app, []

    async def noted(*call: Any) -> None:
        bound.append(get_contextvars())
        await application(*call)

    monkeypatch.setattr(served.server.config, "loaded_app", noted)
    async with peer_of(served) as one:
        one.say(request("GET", "/api/v1/models") * 3)
        assert [(await one.answer())[0] for _ in range(3)] == [200] * 3
    assert bound == [{}] * 3


async def test_who_goes_while_more_requests_wait_leaves_nothing_behind(served) -> None:
    conversation = (await served.works.converse(principal=LOCAL)).id
    events = f"/api/v1/conversations/{conversation}/events"
    with capture_logs() as lines:
        async with peer_of(served) as one:
            one.say(request("GET", events, "accept: text/event-stream") + ASK)
            await one.reader.readuntil(b"event: conversation")
        # The one that is being answered hears of it, not only the newest.
        async with asyncio.timeout(5):
            while len(served.works.parts.readers):  # noqa: ASYNC110 - nobody is told of who goes
                await asyncio.sleep(0.01)
    assert lines == []


async def test_beyond_so_many_sockets_a_new_one_is_told_and_closed(tmp_path) -> None:
    async with (
        serving(tmp_path, server__grace_s=1.0, limits__sockets=2) as served,
        peer_of(served) as first,
        peer_of(served) as second,
    ):
        for one in (first, second):
            one.say(ASK)
            assert (await one.answer())[0] == 200
        assert figure(served, "sockets") == 2
        async with peer_of(served) as third:
            problem = await third.problem()
            assert (problem["status"], problem["code"], problem["retry_after"]) == (503, "full", 5)
        assert figure(served, "rejected_total", code="full") == 1
        first.writer.close()
        await sockets_left(served, 1)
        second.say(ASK)
        assert (await second.answer())[0] == 200
        async with peer_of(served) as fourth:
            fourth.say(ASK)
            assert (await fourth.answer())[0] == 200


async def test_what_a_request_was_answered_with_needs_no_collector_to_go(one) -> None:
    one.say(ASK)
    await one.answer()
    gc.collect()
    before = _cycles()
    gc.disable()
    try:
        for _ in range(20):
            one.say(ASK)
            await one.answer()
        assert _cycles() <= before
    finally:
        gc.enable()


def _cycles() -> int:
    return sum(isinstance(one, RequestResponseCycle) for one in gc.get_objects())
