"""Each transport carries the same log: whole, from any position, and to one end."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.harness.client import Client, Refused
from tests.harness.readers import TRANSPORTS, Transport, by_longpoll, by_sse, by_websocket, read, read_whole
from tests.harness.received import Received
from tests.harness.service import Service
from tests.harness.sse import stream
from tests.harness.websocket import socket

pytestmark = pytest.mark.asyncio(loop_scope="session")


each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture
def service(narrow_service: Service) -> Service:
    return narrow_service


@each_transport
async def test_the_whole_answer_comes_as_it_is_made_and_is_what_is_kept(
    client: Client, transport: Transport
) -> None:
    conversation = await client.begin()
    sent = await client.send(conversation, "Tell me. [[tokens=40]]")
    received = await read_whole(client, sent["generation"]["id"], transport)

    assert received.end is not None
    assert received.started is not None
    assert (received.end["reason"], received.end["error"]) == ("completed", None)
    assert received.end["usage"]["completion_tokens"] == 40
    # As it is made: neither all at once nor token by token where tokens have piled up.
    assert 4 < received.taken <= 42
    assert received.resets == []
    assert (received.started["attempt"], received.started["source"]) == (1, "model")
    kept = await client.generation(received.generation)
    assert (kept["status"], kept["reason"], kept["result"]) == ("completed", "completed", received.answer)
    assert (kept["sha256"], kept["after"]) == (received.end["sha256"], received.after)
    question, answer = await client.messages(conversation)
    assert (question["content"], answer["content"]) == ("Tell me. [[tokens=40]]", received.answer)


@each_transport
async def test_thoughts_travel_on_a_channel_of_their_own(client: Client, transport: Transport) -> None:
    received = await read_whole(
        client, await client.ask("Think. [[tokens=10]]", model="sim-think"), transport
    )
    kept = await client.generation(received.generation)
    assert received.thinking
    assert (kept["thinking"], kept["result"]) == (received.thinking, received.answer)


@each_transport
async def test_calls_of_tools_come_as_the_model_made_them(client: Client, transport: Transport) -> None:
    weather = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tell the weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    generation = await client.hand_in(
        "What is the weather in Lisbon?", model="sim-tools", tools=[weather], priority="interactive"
    )
    received = await read_whole(client, generation, transport)
    assert [call["function"]["name"] for call in received.calls] == ["get_weather"]
    assert (await client.generation(generation))["tool_calls"] == received.calls


@each_transport
async def test_whoever_waits_is_told_its_place_before_the_start(client: Client, transport: Transport) -> None:
    first = await client.ask("Go on. [[tokens=10000]]")
    second, third = await client.ask("Later. [[tokens=3]]"), await client.ask("Last. [[tokens=3]]")
    for generation, place in ((second, 1), (third, 2)):
        waiting = await read(client, Received(generation), transport, until=lambda one: bool(one.places))
        assert (waiting.places, waiting.after) == ([place], None)
        kept = await client.generation(generation)
        assert (kept["status"], kept["position"], kept["after"]) == ("queued", place, "0.0")

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read_whole(client, one, transport)) for one in (second, third)]
        await client.cancel(first)
    assert [reader.result().end is not None for reader in readers] == [True, True]


@each_transport
async def test_from_the_final_position_there_is_nothing_and_it_says_so(
    client: Client, transport: Transport
) -> None:
    received = await read_whole(client, await client.ask("Hi. [[tokens=3]]"), transport)
    again = Received(received.generation, after=received.after)
    await read(client, again, transport)
    assert (again.taken, again.resets, again.after) == (0, [], received.after)


async def test_a_stream_from_the_final_position_is_204(client: Client) -> None:
    received = await read_whole(client, await client.ask("Hi. [[tokens=3]]"))
    final = received.after or ""
    path = f"/api/v1/generations/{received.generation}/events"
    accept = {"Accept": "text/event-stream"}
    answer = await client.http.get(path, params={"after": final}, headers=accept)
    assert (answer.status_code, answer.content) == (204, b"")
    # The header is newer than the address, which a browser never changes.
    answer = await client.http.get(path, params={"after": "0.0"}, headers={**accept, "Last-Event-ID": final})
    assert answer.status_code == 204


@each_transport
async def test_a_position_that_nobody_knows_gets_a_reset_and_the_whole(
    client: Client, transport: Transport
) -> None:
    whole = await read_whole(client, await client.ask("Hi. [[tokens=5]]"))
    received = Received(whole.generation, after="7.3")
    await read(client, received, transport)
    assert (received.resets, received.answer) == (["position_unknown"], whole.answer)


@each_transport
async def test_a_malformed_position_is_refused_by_name(client: Client, transport: Transport) -> None:
    generation = await client.ask("Hi. [[tokens=1]]")
    with pytest.raises(Refused) as refused:
        await read(client, Received(generation, after="1.2.3"), transport)
    problem = refused.value.problem
    assert (problem["status"], problem["code"], problem["field"]) == (422, "malformed_position", "after")


@each_transport
async def test_what_does_not_exist_is_not_found(client: Client, transport: Transport) -> None:
    for name in ("gen_00000000000000000000aa", "nonsense"):
        with pytest.raises(Refused) as refused:
            await read(client, Received(name), transport)
        assert (refused.value.problem["status"], refused.value.problem["code"]) == (404, "not_found")


async def test_many_readers_over_all_transports_read_the_same_text(client: Client) -> None:
    generation = await client.ask("Tell us. [[tokens=60]]")
    transports = [by_sse, by_longpoll, by_websocket] * 5
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read_whole(client, generation, transport)) for transport in transports]
    assert len({(reader.result().answer, reader.result().after) for reader in readers}) == 1


async def test_a_stream_says_hello_and_beats_without_ids(client: Client) -> None:
    generation = await client.ask("Wait. [[fault=slow-first-token]]")
    async with stream(client, f"/generations/{generation}/events") as events:
        seen = []
        async for event in events:
            seen.append((event.name, event.id))
            if len(seen) == 4:
                break
    assert seen == [("hello", None), ("started", "1.1"), ("heartbeat", None), ("heartbeat", None)]
    await client.cancel(generation)


async def test_a_stream_is_never_stored_or_rewritten_on_its_way(client: Client) -> None:
    generation = await client.ask("Hi. [[tokens=1]]")
    answer = await client.http.get(
        f"/api/v1/generations/{generation}/events", headers={"Accept": "text/event-stream"}
    )
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"


async def test_a_long_poll_answers_at_once_first_and_then_when_there_is_news(
    service: Service, client: Client
) -> None:
    running = await client.ask("Wait. [[fault=slow-first-token]]")
    waiting = await client.ask("Next. [[tokens=2]]")
    await service.seen(in_flight=1)

    # Without a position at once, whatever it may wait; what it gives back is the start's.
    first = await client.call("GET", f"/generations/{waiting}/events?wait=25")
    assert (first["after"], first["ended"]) == ("0.0", False)
    assert [(frame["type"], frame["position"]) for frame in first["events"]] == [("queued", 1)]
    # A place in the queue ends no wait; it is in the answer.
    still = await client.call("GET", f"/generations/{waiting}/events?wait=0.1&after={first['after']}")
    assert ([frame["type"] for frame in still["events"]], still["after"]) == (["queued"], "0.0")

    begun = await client.call("GET", f"/generations/{running}/events")
    assert [frame["type"] for frame in begun["events"]] == ["started"]
    nothing = await client.call("GET", f"/generations/{running}/events?wait=0.1&after={begun['after']}")
    assert nothing == {"events": [], "after": begun["after"], "ended": False}

    poll = client.call("GET", f"/generations/{running}/events?wait=25&after={begun['after']}")
    polling = asyncio.create_task(poll)
    await client.cancel(running)
    news = await polling
    assert [frame["type"] for frame in news["events"]] == ["end"]
    assert (news["events"][0]["reason"], news["ended"]) == ("cancelled", True)
    assert await client.call("GET", f"/generations/{running}/events?wait=25&after={news['after']}") == {
        "events": [],
        "after": news["after"],
        "ended": True,
    }
    await read_whole(client, waiting, by_longpoll)


async def test_twenty_generations_travel_by_one_websocket(service: Service, client: Client) -> None:
    generations = [await client.hand_in(f"Number {n}. [[tokens=3]]") for n in range(20)]
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(socket(service.url))
        assert (await opened.receive())["type"] == "ready"
        following = {generation: Received(generation) for generation in generations}
        for generation in generations:
            assert (await opened.ask("subscribe", generation=generation))["type"] == "ok"
        while any(one.end is None for one in following.values()):
            frame = await opened.receive()
            following[frame["generation"]].take(frame)
    assert {one.end["reason"] for one in following.values() if one.end} == {"completed"}
