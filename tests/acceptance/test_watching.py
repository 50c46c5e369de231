"""A conversation's frames: each thing that changed, once, as it is now, over each transport."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from tests.harness.client import Client, Json, Refused
from tests.harness.readers import read_whole
from tests.harness.received import Frame
from tests.harness.service import Service
from tests.harness.watching import WATCH_S, Watch, collect, each_way
from tests.harness.websocket import socket

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def service(either_service: Service) -> Service:
    return either_service


async def _change(client: Client, conversation: str) -> int:
    return int((await client.call("GET", f"/conversations/{conversation}"))["change"])


def _answer_ended(frame: Frame) -> bool:
    resource = frame.get("resource", {})
    return frame["type"] == "message" and (resource["role"], resource["status"]) == ("assistant", "completed")


def _newest(frames: list[Frame]) -> dict[tuple[str, str], Json]:
    """What a page that follows knows now, by kind and id."""
    return {(frame["type"], frame["resource"]["id"]): frame["resource"] for frame in frames}


@each_way
async def test_without_a_position_it_begins_now(client: Client, watch: Watch) -> None:
    conversation = await client.begin(title="Now")
    await read_whole(client, (await client.send(conversation, "Old. [[tokens=2]]"))["generation"]["id"])
    now = await client.call("GET", f"/conversations/{conversation}")

    async with aclosing(watch(client, conversation, None)) as frames:
        async with asyncio.timeout(WATCH_S):
            first = await anext(frames)
        assert (first["type"], first["conversation"], first["id"]) == (
            "conversation",
            conversation,
            now["change"],
        )
        assert first["resource"] == now
        sent = await client.send(conversation, "New. [[tokens=2]]")
        seen = await collect(frames, _answer_ended)
    ids = {frame["resource"]["id"] for frame in seen}
    assert ids == {
        sent["message"]["id"],
        sent["generation"]["message"],
        sent["generation"]["id"],
        conversation,
    }


@each_way
async def test_ones_own_turn_is_seen_from_its_acceptance_to_its_end(client: Client, watch: Watch) -> None:
    conversation = await client.begin()
    start = await _change(client, conversation)
    async with aclosing(watch(client, conversation, start)) as frames:
        sent = await client.send(conversation, "Hi. [[tokens=20]]", key="ref-of-mine-" + watch.__name__)
        seen = await collect(frames, _answer_ended)
    generation, answer = sent["generation"]["id"], sent["generation"]["message"]
    assert {frame["conversation"] for frame in seen} == {conversation}
    assert [frame["type"] for frame in seen if frame["resource"]["id"] == generation]

    known = _newest(seen)
    question, made = await client.messages(conversation)
    assert known["message", sent["message"]["id"]] == question
    assert question["ref"] == "ref-of-mine-" + watch.__name__
    assert known["message", answer] == made
    assert known["conversation", conversation]["leaf"] == answer


@each_way
async def test_after_a_number_each_thing_that_changed_comes_once_as_it_is_now(
    client: Client, watch: Watch
) -> None:
    conversation = await client.begin()
    start = await _change(client, conversation)
    first = await client.send(conversation, "One. [[tokens=2]]")
    await read_whole(client, first["generation"]["id"])
    middle = await _change(client, conversation)
    second = await client.send(conversation, "Two. [[tokens=2]]")
    await read_whole(client, second["generation"]["id"])
    newest = await _change(client, conversation)

    whole = await _seen_up_to(newest, watch(client, conversation, start))
    assert len(_newest(whole)) == len(whole) == 7
    # As GET gives them.
    known = _newest(whole)
    for message in await client.messages(conversation):
        assert known["message", message["id"]] == message
    for sent in (first, second):
        generation = sent["generation"]["id"]
        assert known["generation", generation] == await client.generation(generation)
    assert known["conversation", conversation] == await client.call("GET", f"/conversations/{conversation}")

    later = await _seen_up_to(newest, watch(client, conversation, middle))
    assert _newest(later).keys() == {
        ("message", second["message"]["id"]),
        ("message", second["generation"]["message"]),
        ("generation", second["generation"]["id"]),
        ("conversation", conversation),
    }


async def _seen_up_to(change: int, frames: AsyncGenerator[Frame]) -> list[Frame]:
    async with aclosing(frames):
        return await collect(frames, lambda frame: frame["id"] == change)


@each_way
async def test_a_number_beyond_ours_gets_a_reset_and_goes_on_from_now(client: Client, watch: Watch) -> None:
    conversation = await client.begin()
    now = await _change(client, conversation)
    async with aclosing(watch(client, conversation, now + 100)) as frames:
        async with asyncio.timeout(WATCH_S):
            assert await anext(frames) == {"type": "reset", "conversation": conversation, "id": now}
        await client.send(conversation, "Hi. [[tokens=2]]")
        assert all(frame["id"] > now for frame in await collect(frames, _answer_ended))


@each_way
async def test_a_burst_of_changes_is_read_without_a_gap(client: Client, watch: Watch) -> None:
    conversation = await client.begin()
    start = await _change(client, conversation)
    async with aclosing(watch(client, conversation, start)) as frames:
        reading = asyncio.create_task(_all_ended(frames, 30))
        turns = [client.send(conversation, f"{n} [[tokens=2]]", parent=None) for n in range(30)]
        sent = await asyncio.gather(*turns)
        seen = await reading
    known = _newest(seen)
    for turn in sent:
        generation = known["generation", turn["generation"]["id"]]
        assert generation["status"] == "completed"
        assert known["message", turn["generation"]["message"]]["content"] == generation["result"] != ""


async def _all_ended(frames: AsyncGenerator[Frame], count: int) -> list[Frame]:
    ended: set[str] = set()

    def all_ended(frame: Frame) -> bool:
        # Of what changes at one end, this comes last.
        if frame["type"] == "generation" and frame["resource"]["status"] == "completed":
            ended.add(frame["resource"]["id"])
        return len(ended) == count

    return await collect(frames, all_ended)


async def test_the_first_long_poll_answers_at_once_and_names_the_number(client: Client) -> None:
    conversation = await client.begin()
    now = await _change(client, conversation)
    first = await client.call("GET", f"/conversations/{conversation}/events?wait=25")
    assert ([frame["type"] for frame in first["events"]], first["after"]) == (["conversation"], str(now))
    nothing = await client.call("GET", f"/conversations/{conversation}/events?wait=0.1&after={now}")
    assert nothing == {"events": [], "after": str(now), "ended": False}
    at_once = await client.call("GET", f"/conversations/{conversation}/events?wait=0&after=0")
    assert [frame["type"] for frame in at_once["events"]] == ["conversation"]


async def test_nothing_comes_after_an_unwatch(service: Service, client: Client) -> None:
    conversation = await client.begin()
    async with socket(service.url) as opened:
        await opened.ask("watch", conversation=conversation)
        assert [(await opened.receive())["type"] for _ in range(2)] == ["ready", "conversation"]
        assert (await opened.ask("unwatch", conversation=conversation))["type"] == "ok"
        await read_whole(client, (await client.send(conversation, "Hi. [[tokens=2]]"))["generation"]["id"])
        assert (await opened.ask("ping"))["type"] == "pong"
        assert opened.earlier == []


async def test_a_watch_and_the_answer_travel_by_one_websocket(service: Service, client: Client) -> None:
    conversation = await client.begin()
    async with socket(service.url) as opened:
        await opened.ask("watch", conversation=conversation)
        accepted = await opened.ask("send", conversation=conversation, content="Hi. [[tokens=5]]")
        generation = accepted["generation"]["id"]
        seen: list[Frame] = []
        while not any(map(_answer_ended, seen)) or not any(frame["type"] == "end" for frame in seen):
            seen.append(await opened.receive())
    log = [frame for frame in seen if frame.get("generation") == generation]
    changes = [frame for frame in seen if frame.get("conversation") == conversation]
    assert (log[0]["type"], log[-1]["type"]) == ("started", "end")
    assert len(log) + len(changes) == len(seen) - 1


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "9" * 20])
async def test_a_number_that_is_none_is_refused_by_name(client: Client, number: str) -> None:
    conversation = await client.begin()
    with pytest.raises(Refused) as refused:
        await client.call("GET", f"/conversations/{conversation}/events?after={number}")
    assert (refused.value.problem["status"], refused.value.problem["field"]) == (422, "after")
