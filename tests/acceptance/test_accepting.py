"""What is accepted is accepted once: streams that answer a POST, keys, repeats, turns in progress."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.harness.client import Client, Refused, client_of
from tests.harness.readers import by_sse, read, read_whole
from tests.harness.received import Received
from tests.harness.service import Service
from tests.harness.sse import Event, stream
from tests.harness.websocket import socket

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def service(either_service: Service) -> Service:
    return either_service


async def _events(client: Client, path: str, body: dict[str, Any], key: str | None = None) -> list[Event]:
    headers = {} if key is None else {"Idempotency-Key": key}
    async with stream(client, path, method="POST", json=body, headers=headers) as events:
        return [event async for event in events]


def _read_from(events: list[Event]) -> Received:
    received = Received(events[0].data["generation"]["id"])
    for event in events[2:]:
        received.take(event.data)
    return received


@pytest.mark.parametrize("kind", ["turn", "work"])
async def test_a_post_may_be_answered_with_the_stream_itself(client: Client, kind: str) -> None:
    path, body = "/generations", {"prompt": "Hi. [[tokens=20]]"}
    if kind == "turn":
        path, body = f"/conversations/{await client.begin()}/messages", {"content": "Hi. [[tokens=20]]"}
    events = await _events(client, path, body)

    assert [(event.name, event.id) for event in events[:2]] == [("accepted", None), ("hello", None)]
    received = _read_from(events)
    assert received.end is not None
    assert received.end["reason"] == "completed"
    accepted = events[0].data
    assert set(accepted) == ({"message", "generation"} if kind == "turn" else {"generation"})
    assert (await client.generation(received.generation))["result"] == received.answer


async def test_a_stream_that_was_dropped_goes_on_from_its_position(client: Client) -> None:
    path = f"/conversations/{await client.begin()}/messages"
    async with stream(client, path, method="POST", json={"content": "Hi. [[tokens=60]]"}) as events:
        accepted = await anext(events)
        received = Received(accepted.data["generation"]["id"])
        async for event in events:
            if event.name != "hello":
                received.take(event.data)
            if len(received.answer) > 20:
                break
    await read(client, received, by_sse)
    assert received.resets == []


async def test_a_refusal_before_the_stream_is_a_problem_document(client: Client) -> None:
    conversation = await client.begin()
    running = (await client.send(conversation, "Long. [[tokens=4000]]"))["generation"]["id"]
    with pytest.raises(Refused) as refused:
        await _events(client, f"/conversations/{conversation}/messages", {"content": "And?"})
    assert (refused.value.problem["code"], refused.value.problem["generation"]) == (
        "turn_in_progress",
        running,
    )
    await client.cancel(running)


async def test_the_same_key_gets_the_same_answer_while_it_runs_and_afterwards(
    service: Service, client: Client
) -> None:
    before = await service.asked()
    conversation = await client.begin()
    # While it runs its conversation is busy: a repeat is told apart from another turn.
    first = await client.send(conversation, "Once. [[tokens=60]]", key="once")
    assert await client.send(conversation, "Once. [[tokens=60]]", key="once") == first
    received = await read_whole(client, first["generation"]["id"])
    assert await client.send(conversation, "Once. [[tokens=60]]", key="once") == first
    assert len(await client.messages(conversation)) == 2

    events = await _events(
        client, f"/conversations/{conversation}/messages", {"content": "Once. [[tokens=60]]"}, key="once"
    )
    assert events[0].data == first
    assert _read_from(events).answer == received.answer
    assert await service.asked() == before + 1


async def test_a_key_means_one_operation_on_one_target_with_one_body(client: Client) -> None:
    here, there = await client.begin(), await client.begin()
    await client.send(here, "Hi. [[tokens=1]]", key="one-thing")
    others = [
        client.send(here, "Hello. [[tokens=1]]", key="one-thing"),
        client.send(here, "Hi. [[tokens=1]]", key="one-thing", options={"seed": 1}),
        client.send(there, "Hi. [[tokens=1]]", key="one-thing"),
        client.hand_in("Hi. [[tokens=1]]", key="one-thing"),
        client.call("POST", "/conversations", {}, key="one-thing"),
    ]
    for other in others:
        with pytest.raises(Refused) as refused:
            await other
        assert (refused.value.problem["status"], refused.value.problem["code"]) == (409, "key_reused")


async def test_keys_of_conversations_and_of_work_are_kept_too(client: Client) -> None:
    made = await client.call("POST", "/conversations", {"title": "One"}, key="conversation")
    assert await client.call("POST", "/conversations", {"title": "One"}, key="conversation") == made
    body = {"prompt": "Hi. [[tokens=1]]", "metadata": {"order": 7}}
    work = await client.call("POST", "/generations", body, key="work")
    await read_whole(client, work["generation"]["id"])
    assert await client.call("POST", "/generations", body, key="work") == work


async def test_a_ref_and_a_key_are_one_thing(service: Service, client: Client) -> None:
    conversation = await client.begin()
    turn = {"conversation": conversation, "content": "Both. [[tokens=5]]"}
    async with socket(service.url) as opened:
        said = await opened.ask("send", ref="ref-first", **turn)
        again = await client.send(conversation, turn["content"], key="ref-first")
        assert {name: said[name] for name in ("message", "generation")} == again
        await read_whole(client, again["generation"]["id"])

        posted = await client.send(conversation, turn["content"], key="key-first")
        said = await opened.ask("send", ref="key-first", **turn)
        assert (said["type"], said["message"], said["generation"]) == (
            "accepted",
            posted["message"],
            posted["generation"],
        )
        await read_whole(client, posted["generation"]["id"])
        other = await opened.ask("send", ref="key-first", **{**turn, "content": "Other."})
        assert (other["type"], other["status"], other["code"]) == ("error", 409, "key_reused")
    assert [message["ref"] for message in await client.messages(conversation)] == [
        "ref-first",
        None,
        "key-first",
        None,
    ]


async def test_a_ref_that_is_sent_again_is_accepted_again_with_all_its_frames(
    service: Service, client: Client
) -> None:
    turn = {"ref": "again", "conversation": await client.begin(), "content": "Again. [[tokens=30]]"}
    answers = []
    for _ in range(2):
        async with socket(service.url) as opened:
            accepted = await opened.ask("send", **turn)
            received = Received(accepted["generation"]["id"])
            opened.earlier.clear()
            while received.end is None:
                received.take(await opened.receive())
        answers.append((accepted, received.answer))
    assert answers[0] == answers[1]


async def test_of_concurrent_repeats_one_is_carried_out(service: Service, client: Client) -> None:
    before = await service.asked()
    conversation = await client.begin()
    content = "Together. [[tokens=30]]"
    async with socket(service.url) as first, socket(service.url) as second, asyncio.TaskGroup() as group:
        posts = [group.create_task(client.send(conversation, content, key="all-at-once")) for _ in range(15)]
        said = [
            group.create_task(one.ask("send", ref="all-at-once", conversation=conversation, content=content))
            for one in (first, second)
        ]
    answers = [post.result() for post in posts]
    answers += [{name: one.result()[name] for name in ("message", "generation")} for one in said]
    assert len({orjson.dumps(answer, option=orjson.OPT_SORT_KEYS) for answer in answers}) == 1

    await read_whole(client, answers[0]["generation"]["id"])
    assert len(await client.messages(conversation)) == 2
    assert await service.asked() == before + 1


async def test_of_concurrent_turns_with_different_keys_one_is_taken(client: Client) -> None:
    conversation = await client.begin()

    async def send(number: int) -> str:
        try:
            await client.send(conversation, f"{number} [[tokens=1000]]", key=f"turn-{number}")
        except Refused as refused:
            return str(refused.problem["generation"])
        return "accepted"

    outcomes = await asyncio.gather(*(send(number) for number in range(10)))
    assert outcomes.count("accepted") == 1
    assert len(set(outcomes)) == 2
    _, answer = await client.messages(conversation)
    assert answer["generation"] in outcomes
    await client.cancel(answer["generation"])


async def test_a_key_is_its_users_own(service: Service, client: Client) -> None:
    conversation = await client.call("POST", "/conversations", {}, key="shared-key")
    async with client_of(service.url) as visitor:
        await visitor.http.get("/")
        assert (await visitor.call("POST", "/conversations", {}, key="shared-key"))["id"] != conversation[
            "id"
        ]


async def test_while_an_answer_is_made_its_conversation_takes_another_branch_only(client: Client) -> None:
    conversation = await client.begin()
    running = (await client.send(conversation, "Long. [[tokens=4000]]"))["generation"]
    for parent in ({}, {"parent": running["message"]}):
        with pytest.raises(Refused) as refused:
            await client.send(conversation, "And?", **parent)
        assert (refused.value.problem["status"], refused.value.problem["code"]) == (409, "turn_in_progress")
        assert refused.value.problem["generation"] == running["id"]
    beside = await client.send(conversation, "Edited. [[tokens=3]]", parent=None)
    assert len(beside["message"]["versions"]) == 2
    await read_whole(client, beside["generation"]["id"])

    await client.cancel(running["id"])
    await read_whole(client, running["id"])
    following = await client.send(conversation, "And? [[tokens=3]]", parent=running["message"])
    await read_whole(client, following["generation"]["id"])


async def test_what_is_accepted_can_be_read_at_once(client: Client) -> None:
    conversation = await client.begin()
    accepted = await client.send(conversation, "Hi. [[tokens=30]]")
    question, answer = await client.messages(conversation)
    assert question == accepted["message"]
    assert (answer["id"], answer["generation"], answer["content"]) == (
        accepted["generation"]["message"],
        accepted["generation"]["id"],
        "",
    )
    assert (await client.call("GET", f"/conversations/{conversation}"))["leaf"] == answer["id"]
    await read_whole(client, accepted["generation"]["id"])
