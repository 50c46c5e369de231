"""Each limit: beyond it comes a refusal that says so, nothing is stored, and a figure counts it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.client import Client, Refused, client_of
from tests.harness.figures import figure
from tests.harness.raw import raw, request
from tests.harness.received import Frame
from tests.harness.service import Service, module_service
from tests.harness.sse import stream
from tests.harness.websocket import socket

pytestmark = pytest.mark.asyncio(loop_scope="module")

service = module_service(
    {
        "ollama.slots": 1,
        "generation.keep_finished_bytes": 20_000,
        # Each test is somebody of its own at an address of its own.
        "server.trusted_proxies": "127.0.0.1",
        "limits.messages_per_minute": 8,
        "limits.per_address_per_minute": 10,
        "limits.outstanding_per_user": 3,
        "limits.waiting": 4,
        "limits.connections": 4,
        "limits.sockets": 40,
        "limits.subscriptions_per_connection": 2,
        "limits.content_characters": 60,
        "limits.turn_bytes": 2048,
        "limits.generation_bytes": 4096,
        "limits.message_bytes": 2048,
        "limits.head_bytes": 2048,
        "limits.head_timeout_s": 0.3,
        "limits.body_timeout_s": 0.3,
    },
    "--rate",
    "200",
)

LONG = "[[tokens=100000]]"
_addresses = count(1)


@asynccontextmanager
async def _somebody(service: Service, address: str | None = None) -> AsyncIterator[Client]:
    """Open a client of a user of its own; what it has begun is cancelled in the end."""
    address = address or f"10.0.0.{next(_addresses)}"
    async with client_of(service.url, **{"X-Forwarded-For": address}) as client:
        await client.http.get("/")
        try:
            yield client
        finally:
            for status in ("queued", "running"):
                for item in (await client.call("GET", f"/generations?status={status}"))["items"]:
                    await client.cancel(item["id"])
            while (await client.call("GET", "/generations?status=running"))["items"]:
                pass


@asynccontextmanager
async def _reached(service: Service, limit: str, times: int = 1) -> AsyncIterator[None]:
    """Check that a limit was reached so many times, and the server is well afterwards."""
    before = await figure(service.client, "limits_reached_total", limit=limit)
    yield
    assert await figure(service.client, "limits_reached_total", limit=limit) == before + times
    assert (await service.client.http.get("/health/ready")).status_code == 200


async def _refusal(call: Awaitable[object]) -> Frame:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.problem


async def _close_code(service: Service, **opening: Any) -> int | None:
    async with socket(service.url, **opening) as opened:
        with suppress(ConnectionClosed):
            while True:
                await opened.receive()
        return opened.connection.close_code


def _is(problem: Frame, status: int, code: str, limit: int | None = None) -> None:
    assert (problem["status"], problem["code"], problem.get("limit")) == (status, code, limit)
    if status in {429, 503}:
        assert problem["retry_after"] > 0


async def test_messages_a_minute_of_a_user(service: Service) -> None:
    async with _somebody(service) as client, _reached(service, "messages_per_minute", 3):
        # Beginning a conversation counts as well.
        conversation = await client.begin()
        for n in range(7):
            turn = await client.send(conversation, f"{n} [[tokens=1]]", parent=None, key=f"turn-{n}")
            await client.cancel(turn["generation"]["id"])
        answer = await client.http.post(
            f"/api/v1/conversations/{conversation}/messages", json={"content": "One more"}
        )
        _is(answer.json(), 429, "too_many", 8)
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert (answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]) == ("8", "0")
        _is(await _refusal(client.hand_in("One more")), 429, "too_many", 8)
        async with socket(service.url, cookies=client.cookies) as opened:
            _is(await opened.ask("send", conversation=conversation, content="One more"), 429, "too_many", 8)
            # A repeat isn't a new message, so it is answered as before.
            repeat = await opened.ask(
                "send", ref="turn-6", conversation=conversation, content="6 [[tokens=1]]", parent=None
            )
            assert repeat["type"] == "accepted"
        assert len((await client.call("GET", "/generations"))["items"]) == 7


async def test_messages_a_minute_from_an_address_whoever_sends_them(service: Service) -> None:
    async with (
        _somebody(service, "10.1.0.1") as one,
        _somebody(service, "10.1.0.1") as two,
        _reached(service, "per_address_per_minute"),
    ):
        for sender, messages in ((one, 3), (two, 2)):
            for _ in range(messages):
                await sender.cancel(await sender.ask("[[tokens=1]]"))
        _is(await _refusal(two.ask("One more")), 429, "too_many", 10)


async def test_unfinished_answers_of_a_user(service: Service) -> None:
    async with _somebody(service) as client, _reached(service, "outstanding_per_user", 2):
        conversation = await client.begin()
        for _ in range(3):
            await client.hand_in(LONG)
        _is(await _refusal(client.send(conversation, "More?")), 429, "too_many", 3)
        async with socket(service.url, cookies=client.cookies) as opened:
            _is(await opened.ask("send", conversation=conversation, content="More?"), 429, "too_many", 3)
        assert await client.messages(conversation) == []


async def test_answers_that_wait_in_all(service: Service) -> None:
    async with (
        _somebody(service) as one,
        _somebody(service) as two,
        _somebody(service) as three,
        _reached(service, "waiting", 2),
    ):
        # One runs and four wait.
        for client in (one, one, one, two, two):
            await client.hand_in(LONG)
        conversation = await three.begin()
        _is(await _refusal(three.hand_in("More?")), 503, "full")
        async with socket(service.url, cookies=three.cookies) as opened:
            _is(await opened.ask("send", conversation=conversation, content="More?"), 503, "full")
        assert (await three.call("GET", "/generations"))["items"] == []


async def test_readers_over_all_transports(service: Service) -> None:
    async with (
        _somebody(service) as client,
        _reached(service, "connections", 4),
        AsyncExitStack() as stack,
    ):
        generation = await client.hand_in(LONG)
        events = f"/generations/{generation}/events"
        for _ in range(2):
            opened = await stack.enter_async_context(socket(service.url, cookies=client.cookies))
            assert (await opened.receive())["type"] == "ready"
            frames = await stack.enter_async_context(stream(client, events))
            assert (await anext(frames)).name == "hello"
        assert await figure(service.client, "connections") == 4
        assert await _close_code(service, cookies=client.cookies) == 1013
        with pytest.raises(Refused) as refused:
            async with stream(client, events):
                pass
        _is(refused.value.problem, 503, "full")
        _is(await _refusal(client.call("GET", events)), 503, "full")
        # What asks for its stream at once isn't stored either.
        with pytest.raises(Refused) as refused:
            async with stream(client, "/generations", method="POST", json={"prompt": "More?"}):
                pass
        _is(refused.value.problem, 503, "full")
        assert len((await client.call("GET", "/generations"))["items"]) == 1


async def test_sockets_whatever_they_are_for(service: Service) -> None:
    async with _reached(service, "sockets"), AsyncExitStack() as stack:
        taken = int(await figure(service.client, "sockets"))
        for _ in range(40 - taken):
            one = await stack.enter_async_context(raw(service.url))
            one.say(request("GET", "/health/live"))
            assert (await one.answer())[0] == 200
        async with raw(service.url) as beyond:
            _is(await beyond.problem(), 503, "full")
            assert await beyond.rest() == b""
        # Who is there already is served.
        one.say(request("GET", "/health/live"))
        assert (await one.answer())[0] == 200


async def test_things_that_one_websocket_follows(service: Service) -> None:
    async with (
        _somebody(service) as client,
        _reached(service, "subscriptions_per_connection", 2),
        socket(service.url, cookies=client.cookies) as opened,
    ):
        conversations = [await client.begin() for _ in range(3)]
        for conversation in conversations[:2]:
            assert (await opened.ask("watch", conversation=conversation))["type"] == "ok"
        _is(await opened.ask("watch", conversation=conversations[2]), 429, "too_many", 2)
        _is(await opened.ask("send", conversation=conversations[2], content="Hi"), 429, "too_many", 2)
        assert await client.messages(conversations[2]) == []
        # Once more what it follows already is no more.
        assert (await opened.ask("watch", conversation=conversations[0]))["type"] == "ok"


async def test_characters_of_a_message(service: Service) -> None:
    async with _somebody(service) as client, _reached(service, "content_characters", 2):
        conversation = await client.begin()
        # Characters, not bytes.
        await client.send(conversation, "\N{WAVING HAND SIGN}" * 60, parent=None)
        _is(await _refusal(client.send(conversation, "x" * 61)), 422, "invalid", 60)
        async with socket(service.url, cookies=client.cookies) as opened:
            answer = await opened.ask("send", conversation=conversation, content="x" * 61)
            _is(answer, 422, "invalid", 60)
            assert answer["field"] == "content"


@pytest.mark.parametrize(
    ("path", "setting", "most"),
    [
        ("/conversations/{conversation}/messages", "turn_bytes", 2048),
        ("/generations", "generation_bytes", 4096),
    ],
)
async def test_bytes_of_a_body(service: Service, path: str, setting: str, most: int) -> None:
    async with _somebody(service) as client, _reached(service, setting, 2):
        path = "/api/v1" + path.format(conversation=await client.begin())
        fits, beyond = (b"{" + b" " * (size - 2) + b"}" for size in (most, most + 1))
        headers = {"Content-Type": "application/json"}
        assert (await client.http.post(path, content=fits, headers=headers)).status_code == 422
        _is((await client.http.post(path, content=beyond, headers=headers)).json(), 413, "too_large", most)

        async def pieces() -> AsyncIterator[bytes]:
            # Without a length told before.
            for _ in range(10):
                yield beyond[: most // 5]

        answer = await client.http.post(path, content=pieces(), headers=headers)
        _is(answer.json(), 413, "too_large", most)


async def test_bytes_of_a_websocket_message(service: Service) -> None:
    async with _reached(service, "message_bytes"):
        async with socket(service.url) as opened:
            assert (await opened.receive())["type"] == "ready"
            await opened.connection.send('{"type":"ping"%s}' % (" " * 2033))
            assert (await opened.receive())["type"] == "pong"
            await opened.connection.send('{"type":"ping"%s}' % (" " * 2034))
            with pytest.raises(ConnectionClosed):
                await opened.receive()
            assert opened.connection.close_code == 1009
        # The client knows before the server has counted.
        while await figure(service.client, "connections", transport="websocket"):
            pass


async def test_bytes_of_a_head(service: Service) -> None:
    for asked in (
        request("GET", f"/api/v1/models?{'x' * 2100}"),
        request("GET", "/api/v1/models", f"x: {'x' * 2100}"),
        request("GET", "/api/v1/ws", "upgrade: websocket", "connection: upgrade", f"x: {'x' * 2100}"),
    ):
        async with _reached(service, "head_bytes"), raw(service.url) as one:
            one.say(asked)
            _is(await one.problem(), 431, "head_too_large", 2048)
            assert await one.rest() == b""


@pytest.mark.parametrize("upgrade", [False, True], ids=["a call", "a handshake"])
async def test_seconds_for_a_head_that_comes_byte_by_byte(service: Service, upgrade: bool) -> None:
    headers = ["upgrade: websocket", "connection: upgrade"] if upgrade else []
    asked = request("GET", "/api/v1/ws", *headers)
    async with _reached(service, "head_timeout_s"), raw(service.url) as one:
        problem = asyncio.create_task(one.problem())
        for byte in asked[:-2]:
            one.say(bytes([byte]))
            await asyncio.wait({problem}, timeout=0.02)
        _is(await problem, 408, "request_timeout")
        assert await one.rest() == b""


async def test_seconds_for_a_body_that_comes_byte_by_byte(service: Service) -> None:
    async with _reached(service, "body_timeout_s"), raw(service.url) as one:
        one.say(
            request("POST", "/api/v1/conversations", "content-type: application/json", "content-length: 99")
        )
        problem = asyncio.create_task(one.problem())
        while not problem.done():
            one.say(b" ")
            await asyncio.wait({problem}, timeout=0.02)
        _is(await problem, 408, "request_timeout")
        assert await one.rest() == b""


async def test_bytes_of_finished_logs(service: Service) -> None:
    async with _somebody(service) as client:
        for _ in range(6):
            generation = await client.hand_in("[[tokens=30]]")
            async with stream(client, f"/generations/{generation}/events") as events:
                assert [event.name async for event in events][-1] == "end"
        assert 4096 < await figure(service.client, "finished_logs_bytes") <= 20_000
