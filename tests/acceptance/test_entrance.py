"""Who is asking in open mode: cookies, origins, hosts, and tickets for where neither can be sent."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.client import CALL_S, Client, Refused, client_of, read
from tests.harness.raw import raw, request
from tests.harness.readers import read_whole
from tests.harness.received import Received
from tests.harness.service import EMBEDDER, Service
from tests.harness.sse import stream
from tests.harness.websocket import socket

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOREIGN = "https://evil.example"


async def _refusal(call: Awaitable[object]) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.problem["status"], refused.value.problem["code"]


async def _close_code(url: str, **opening: str) -> int | None:
    async with socket(url, **opening) as opened:
        with pytest.raises(ConnectionClosed):
            await opened.receive()
        return opened.connection.close_code


async def test_the_page_makes_a_visitor_a_user_once(service: Service) -> None:
    async with client_of(service.url) as visitor:
        first = await visitor.http.get("/")
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        conversation = await visitor.begin()
        assert "set-cookie" not in (await visitor.http.get("/")).headers
        assert (await visitor.call("GET", f"/conversations/{conversation}"))["id"] == conversation


@pytest.mark.parametrize("whose", ["another visitor", "nobody"])
async def test_what_belongs_to_one_is_not_there_for_another(
    service: Service, client: Client, whose: str
) -> None:
    async with client_of(service.url) as owner, client_of(service.url) as stranger:
        await owner.http.get("/")
        if whose == "another visitor":
            await stranger.http.get("/")
        conversation = await owner.begin()
        generation = (await owner.send(conversation, "Mine. [[tokens=3]]"))["generation"]["id"]
        await read_whole(owner, generation)
        calls: list[Callable[[Client], Awaitable[object]]] = [
            lambda one: one.call("GET", f"/conversations/{conversation}"),
            lambda one: one.messages(conversation),
            lambda one: one.send(conversation, "Yours?"),
            lambda one: one.call("GET", f"/conversations/{conversation}/events"),
            lambda one: one.generation(generation),
            lambda one: one.call("GET", f"/generations/{generation}/events"),
            lambda one: one.cancel(generation),
            lambda one: one.ticket(generation=generation),
            lambda one: one.ticket(conversation=conversation),
        ]
        for call in calls:
            assert await _refusal(call(stranger)) == (404, "not_found")
            if call is not calls[2]:
                await call(owner)
        async with socket(service.url, cookies=stranger.cookies) as opened:
            for kind, target in (
                ("subscribe", {"generation": generation}),
                ("cancel", {"generation": generation}),
                ("watch", {"conversation": conversation}),
                ("send", {"conversation": conversation, "content": "Yours?"}),
            ):
                answer = await opened.ask(kind, **target)
                assert (answer["type"], answer["status"]) == ("error", 404)
        assert generation not in {
            item["id"] for item in (await stranger.call("GET", "/generations"))["items"]
        }
        assert len(await owner.messages(conversation)) == 2


async def test_a_cookie_that_was_tampered_with_is_nobodys(service: Service) -> None:
    async with client_of(service.url) as owner:
        await owner.http.get("/")
        conversation, cookie = await owner.begin(), owner.cookies
    for wrong in (cookie[:-2] + ("aa" if cookie[-2:] != "aa" else "bb"), "chatserver=x", "chatserver="):
        async with client_of(service.url, Cookie=wrong) as forger:
            assert await _refusal(forger.call("GET", f"/conversations/{conversation}")) == (404, "not_found")


async def test_a_foreign_origin_is_refused_everywhere(service: Service, client: Client) -> None:
    generation = await client.ask("Hi. [[tokens=1]]")
    async with client_of(service.url, Origin=FOREIGN) as page:
        await page.http.get("/")
        for call in (
            page.begin(),
            page.generation(generation),
            page.call("GET", f"/generations/{generation}/events"),
            page.ticket(),
        ):
            assert await _refusal(call) == (403, "foreign_origin")
    assert await _close_code(service.url, origin=FOREIGN) == 4403
    assert await _close_code(service.url, origin=FOREIGN, ticket=await client.ticket()) == 4403
    assert await _close_code(service.url, origin="null") == 4403


async def test_our_own_origin_is_no_foreign_one(service: Service) -> None:
    async with client_of(service.url, Origin=service.url) as page:
        await page.begin()
    async with socket(service.url, origin=service.url) as opened:
        assert (await opened.receive())["type"] == "ready"


async def test_a_host_that_is_not_ours_is_refused_but_probes_are_answered(client: Client) -> None:
    host = {"Host": "rebound.example"}
    with pytest.raises(Refused) as refused:
        read(await client.http.get("/api/v1/models", headers=host))
    assert (refused.value.problem["status"], refused.value.problem["code"]) == (403, "foreign_host")
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert (await client.http.get(path, headers=host)).status_code == 200


async def test_a_websocket_by_a_name_that_is_not_ours_is_let_in_only_to_be_told(service: Service) -> None:
    handshake = request(
        "GET",
        "/api/v1/ws",
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
        host="rebound.example",
    )
    async with raw(service.url) as one, asyncio.timeout(CALL_S):
        one.say(handshake)
        assert (await one.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        # A frame that closes: its length, its code, its reason.
        assert (await one.reader.readexactly(4))[2:] == (4403).to_bytes(2)
        assert await one.reader.readexactly(12) == b"foreign_host"


async def test_a_page_elsewhere_is_nobody_until_it_has_fetched_a_ticket(service: Service) -> None:
    async with client_of(service.url, Origin=EMBEDDER) as page:
        assert await _refusal(page.begin()) == (401, "unauthenticated")
        assert await _refusal(page.call("GET", "/generations")) == (401, "unauthenticated")
        assert await _close_code(service.url, origin=EMBEDDER) == 4401

        answer = await page.http.post("/api/v1/tickets", json={})
        assert answer.status_code == 201
        assert "set-cookie" in answer.headers
        # The cookie and the ticket are the same user.
        conversation = await page.begin()
        async with socket(service.url, origin=EMBEDDER, ticket=answer.json()["ticket"]) as opened:
            assert (await opened.ask("watch", conversation=conversation))["type"] == "ok"


async def test_a_ticket_opens_what_it_was_made_for_and_nothing_else(service: Service) -> None:
    async with client_of(service.url) as owner, client_of(service.url) as bearer:
        await owner.http.get("/")
        conversation = await owner.begin()
        generation = (await owner.send(conversation, "Hi. [[tokens=5]]"))["generation"]["id"]
        whole = await read_whole(owner, generation)
        for_generation = await owner.ticket(generation=generation)
        for_conversation = await owner.ticket(conversation=conversation)
        for_socket = await owner.ticket()

        log, changes = f"/generations/{generation}/events", f"/conversations/{conversation}/events"
        polled = await bearer.call("GET", f"{log}?ticket={for_generation}")
        received = Received(generation)
        for frame in polled["events"]:
            received.take(frame)
        assert (received.answer, polled["ended"]) == (whole.answer, True)
        async with stream(bearer, f"{log}?ticket={for_generation}") as events:
            assert [event.name async for event in events][-1] == "end"
        async with stream(bearer, f"{changes}?ticket={for_conversation}") as events:
            assert [(await anext(events)).name for _ in range(2)] == ["hello", "conversation"]
        assert (await bearer.call("GET", f"{changes}?ticket={for_conversation}&after=0&wait=0"))["events"]
        async with socket(service.url, ticket=for_socket) as opened:
            assert (await opened.ask("subscribe", generation=generation))["type"] == "ok"

        for path, ticket in ((log, for_conversation), (log, for_socket), (changes, for_generation)):
            assert await _refusal(bearer.call("GET", f"{path}?ticket={ticket}")) == (403, "forbidden")
        for ticket in ("nonsense", for_generation[:-3] + "aaa", owner.cookies.partition("=")[2]):
            assert await _refusal(bearer.call("GET", f"{log}?ticket={ticket}")) == (401, "unauthenticated")
            assert await _close_code(service.url, ticket=ticket) == 4401
        assert await _close_code(service.url, ticket=for_generation) == 4403


async def test_tickets_say_how_long_they_are_good(client: Client) -> None:
    generation = await client.ask("Hi. [[tokens=1]]")
    assert (await client.call("POST", "/tickets", {"generation": generation}))["expires_in"] == 3600
    assert (await client.call("POST", "/tickets", {}))["expires_in"] == 30
