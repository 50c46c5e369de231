"""What a proxy in front of instances does with their refusals, their deaths and their streams."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.harness.front import Front, haproxy, nginx

each_front = pytest.mark.parametrize("front", [nginx, haproxy])
each_way = pytest.mark.parametrize("sticky", [False, True], ids=["anywhere", "sticky"])

_REFUSED = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-type: application/problem+json\r\n"
    b'content-length: 19\r\n\r\n{"code":"draining"}'
)
_READY = b"GET /health/ready "


@dataclass
class Instance:
    """Stands where an instance would, and does with each request what the test wants."""

    answer: Callable[[asyncio.StreamWriter], Awaitable[None]]
    #: The requests it got, but for those that ask whether it is ready.
    requests: list[bytes] = field(default_factory=list)
    address: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(_READY):
                await _accept(writer)
            else:
                lengths = [
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                ]
                body = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
                self.requests.append(head + body)
                await self.answer(writer)
        writer.close()


async def _accept(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok")
    await writer.drain()


async def _refuse(writer: asyncio.StreamWriter) -> None:
    writer.write(_REFUSED)
    await writer.drain()


async def _die(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@asynccontextmanager
async def _instances(
    *answers: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[list[Instance]]:
    instances = [Instance(answer) for answer in answers]
    servers = [await asyncio.start_server(one.serve, "127.0.0.1", 0) for one in instances]
    for one, server in zip(instances, servers, strict=True):
        one.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield instances
    finally:
        for server in servers:
            server.close()


@asynccontextmanager
async def _behind(
    front: Front, folder: Path, instances: list[Instance], *, sticky: bool
) -> AsyncIterator[httpx.AsyncClient]:
    addresses = [one.address for one in instances]
    async with (
        front(folder, addresses, sticky) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as http,
    ):
        yield http


@each_front
@each_way
async def test_what_one_refuses_another_one_takes(tmp_path: Path, front: Front, *, sticky: bool) -> None:
    async with (
        _instances(_refuse, _accept) as instances,
        _behind(front, tmp_path, instances, sticky=sticky) as http,
    ):
        for number in range(10):
            answer = await http.post("/api/v1/generations", content=f"body {number}")
            assert (answer.status_code, answer.text) == (202, "ok")
        bodies = [request.rpartition(b"\r\n\r\n")[2] for request in instances[1].requests]
        assert bodies == [b"body %d" % number for number in range(10)]


@each_front
@each_way
async def test_when_all_refuse_their_own_words_are_the_answer(
    tmp_path: Path, front: Front, *, sticky: bool
) -> None:
    async with (
        _instances(_refuse, _refuse) as instances,
        _behind(front, tmp_path, instances, sticky=sticky) as http,
    ):
        for _ in range(3):
            answer = await http.post("/api/v1/generations", content="body")
            assert (answer.status_code, answer.json()) == (503, {"code": "draining"})
            assert answer.headers["retry-after"] == "2"


@each_front
@each_way
async def test_a_post_that_may_have_been_done_is_not_repeated(
    tmp_path: Path, front: Front, *, sticky: bool
) -> None:
    async with (
        _instances(_die, _die) as instances,
        _behind(front, tmp_path, instances, sticky=sticky) as http,
    ):
        answer = await http.post("/api/v1/generations", content="body")
        assert (answer.status_code, answer.json()["code"]) == (502, "no_answer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
        assert sum(len(one.requests) for one in instances) == 1


@each_front
@each_way
async def test_where_nobody_listens_nothing_is_lost(tmp_path: Path, front: Front, *, sticky: bool) -> None:
    async with _instances(_accept, _accept) as instances:
        gone = Instance(_accept, address="127.0.0.1:1")
        async with _behind(front, tmp_path, [gone, instances[1]], sticky=sticky) as http:
            for _ in range(10):
                answer = await http.post("/api/v1/generations", content="body")
                assert answer.status_code == 202
        assert len(instances[1].requests) == 10


@each_front
@pytest.mark.parametrize("sticky", [True], ids=["sticky"])
async def test_who_is_sticky_stays(tmp_path: Path, front: Front, *, sticky: bool) -> None:
    async with (
        _instances(_accept, _accept) as instances,
        _behind(front, tmp_path, instances, sticky=sticky) as http,
    ):
        for _ in range(10):
            await http.get("/api/v1/models")
        assert sorted(len(one.requests) for one in instances) == [0, 10]


@each_front
async def test_what_an_instance_sends_is_there_at_once(tmp_path: Path, front: Front) -> None:
    seen = asyncio.Event()

    async def stream(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        # The rest is only sent when the first piece has come through.
        async with asyncio.timeout(20):
            await seen.wait()
        writer.write(b"data: 2\n\n")
        await writer.drain()

    async with (
        _instances(stream, stream) as instances,
        _behind(front, tmp_path, instances, sticky=False) as http,
        http.stream("GET", "/api/v1/generations/gen_1/events") as answer,
    ):
        events = []
        async for text in answer.aiter_text():
            events.append(text)
            seen.set()
        assert events == ["data: 1\n\n", "data: 2\n\n"]


@each_front
async def test_who_asks_is_told_by_the_proxy_alone(tmp_path: Path, front: Front) -> None:
    async with (
        _instances(_accept, _accept) as instances,
        _behind(front, tmp_path, instances, sticky=False) as http,
    ):
        headers = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
        await http.get("/api/v1/models", headers=headers)
        (head,) = (request.lower() for one in instances for request in one.requests)
        assert b"x-forwarded-for: 127.0.0.1\r\n" in head
        assert b"x-forwarded-proto: http\r\n" in head
        assert b"192.0.2.1" not in head
        assert (await http.get("/metrics")).status_code == 404
