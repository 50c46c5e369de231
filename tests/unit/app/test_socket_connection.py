"""How a WebSocket ends whose peer breaks the protocol, over real sockets."""

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from websockets.frames import Opcode
from websockets.protocol import State

from chatserver.access.visitors import LOCAL
from chatserver.app.socket_connection import SocketConnection
from tests.harness.raw import RawSocket, raw, raw_socket, request
from tests.unit.app.test_http_connection import figure
from tests.unit.app.test_serve import Serving, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    async with serving(
        tmp_path_factory.mktemp("data"), server__grace_s=1.0, limits__message_bytes=1024
    ) as one:
        yield one


def address(served: Serving) -> str:
    return str(served.http.base_url).rstrip("/")


@pytest.mark.parametrize(
    ("opcode", "data", "bits", "code"),
    [
        (Opcode.TEXT, b"\xff", {}, 1007),
        (Opcode.TEXT, b"x" * 1025, {}, 1009),
        (Opcode.BINARY, b"x" * 1_000_000, {}, 1009),
        (Opcode.TEXT, b"x", {"rsv1": True}, 1002),
        (Opcode.TEXT, b"x", {"masked": False}, 1002),
        (3, b"x", {}, 1002),
        (Opcode.CONT, b"x", {}, 1002),
        (Opcode.PING, b"x", {"fin": False}, 1002),
        (Opcode.PING, b"x" * 126, {}, 1002),
        (Opcode.CLOSE, b"x", {}, 1002),
        (Opcode.CLOSE, b"\x03\xed", {}, 1002),
    ],
)
async def test_a_peer_that_breaks_the_protocol_learns_why(served, opcode, data, bits, code) -> None:
    names = {1009: "too_large"}
    before = figure(served, "rejected_total", code=names.get(code, "bad_request"))
    with capture_logs() as lines:
        async with raw_socket(address(served)) as opened:
            opened.say(opcode, data, **bits)
            opened.text('{"type":"ping"}')
            assert await opened.close_code() == code
    assert lines == []
    assert figure(served, "rejected_total", code=names.get(code, "bad_request")) == before + 1


async def test_a_handshake_that_cannot_be_read_is_refused(served) -> None:
    wish = ("upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13")
    for more in ([f"x-{n}: y" for n in range(300)], ["x: " + "x" * 9000]):
        async with raw(address(served)) as one:
            one.say(request("GET", "/api/v1/ws", *wish, *more))
            assert (await one.problem())["code"] == "bad_request"
            assert await one.rest() == b""


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.CONT])
async def test_frames_that_are_no_messages_come_in_bounded_numbers(served, opcode) -> None:
    before = figure(served, "rejected_total", code="flood")
    with capture_logs() as lines:
        async with raw_socket(address(served)) as opened:
            opened.say(Opcode.TEXT, b'{"type":"ping"}', fin=False)
            for _ in range(10_000):
                opened.say(opcode, b"", fin=opcode is not Opcode.CONT)
            assert await opened.close_code() == 4429
        async with raw_socket(address(served)) as opened:
            opened.say(Opcode.TEXT, b'{"type":', fin=False)
            for _ in range(900):
                opened.say(opcode, b" " if opcode is Opcode.CONT else b"", fin=opcode is not Opcode.CONT)
            opened.say(Opcode.CONT, b'"ping"}')
            assert await opened.frame() == {"type": "pong"}
    assert lines == []
    assert figure(served, "rejected_total", code="flood") == before + 1


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
async def test_messages_come_in_bounded_numbers_even_if_each_answer_is_read(served, opcode) -> None:
    before = figure(served, "rejected_total", code="flood")
    burst, answered = 100, 0

    async def say_on(opened: RawSocket) -> None:
        nonlocal answered
        for _ in range(100):
            for _ in range(burst):
                opened.say(opcode, b"{}")
            for _ in range(burst):
                assert (await opened.frame())["code"] in {"invalid", "malformed"}
                answered += 1

    with capture_logs() as lines:
        async with raw_socket(address(served)) as opened:
            with pytest.raises(EOFError):
                await say_on(opened)
    assert lines == []
    # A chat that comes back with all that it follows isn't taken for one.
    assert answered >= 2 * burst
    assert figure(served, "rejected_total", code="flood") == before + 1


async def test_who_says_on_and_on_after_the_close_is_cut(served) -> None:
    async def say_on(opened: RawSocket) -> None:
        for _ in range(1000):
            opened.raw.say(bytes(16_384))
            await opened.raw.writer.drain()

    async with raw_socket(address(served)) as opened:
        opened.say(Opcode.TEXT, b"\xff")
        with pytest.raises(ConnectionError):
            await say_on(opened)


async def test_who_says_nothing_after_the_close_is_cut(served, monkeypatch) -> None:
    monkeypatch.setattr("chatserver.app.socket_connection._LAST_WORDS_S", 0.05)
    async with raw_socket(address(served)) as opened:
        opened.say(Opcode.TEXT, b"\xff")
        assert (await opened.raw.rest())[:4] == b"\x88\x02\x03\xef"


def _narrow(plain: sockets.socket) -> None:
    plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)


@asynccontextmanager
async def stalled(served: Serving) -> AsyncIterator[tuple[RawSocket, SocketConnection]]:
    """Give a peer that has stopped reading, and the server's side of it, which can't write any more."""
    generation = await served.works.accept("[[tokens=2000]]", principal=LOCAL)
    await served.works.ended(generation)
    async with raw_socket(address(served), _narrow) as opened:
        opened.raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        here = opened.raw.writer.get_extra_info("sockname")
        (connection,) = [one for one in served.server.server_state.connections if one.client == here]
        assert isinstance(connection, SocketConnection)
        async with asyncio.timeout(5):
            while connection.writable.is_set():
                opened.text(orjson.dumps({"type": "subscribe", "generation": generation}).decode())
                await asyncio.sleep(0.001)
        yield opened, connection


async def closing(connection: SocketConnection) -> None:
    async with asyncio.timeout(5):
        while connection.conn.state is State.OPEN:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.001)


async def test_a_peer_that_reads_on_and_breaks_the_protocol_at_once_is_no_failure_of_ours(served) -> None:
    with capture_logs() as lines:
        async with stalled(served) as (opened, connection):
            # Who writes is awake when the close goes out.
            connection.resume_writing()
            connection.data_received(b"\x88\x81\0\0\0\0x")
            opened.raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert await opened.close_code() == 1002
    assert [line for line in lines if line["log_level"] == "error"] == []


async def test_a_peer_that_closes_and_doesnt_read_on_holds_up_no_shutdown(tmp_path) -> None:
    async with serving(tmp_path, server__grace_s=1.0) as one, stalled(one) as (opened, connection):
        opened.say(Opcode.CLOSE, b"\x03\xe8")
        await closing(connection)
        one.server.stop()
        await one.over()
