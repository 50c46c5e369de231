"""Answers made once more, and what stays whole while everything is changed at once."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from tests.harness.client import Client, Json, Refused
from tests.harness.readers import TRANSPORTS, Transport, read_whole
from tests.harness.service import Service
from tests.harness.watching import by_websocket, collect

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def service(either_service: Service) -> Service:
    return either_service


#: Refusals that those who change one conversation at once may get.
_IN_EACH_OTHERS_WAY = {"turn_in_progress", "not_found", "nothing_to_regenerate"}


async def answered(client: Client, conversation: str, content: str = "Hi. [[tokens=5]]", **body: Any) -> Json:
    turn = await client.send(conversation, content, **body)
    await read_whole(client, turn["generation"]["id"])
    return turn


async def refusal(call: Awaitable[Any]) -> Json:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.problem


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_another_answer_is_followed_like_the_first_and_stands_beside_it(
    client: Client, transport: Transport
) -> None:
    conversation = await client.begin()
    turn = await answered(client, conversation)
    generation = await client.regenerate(conversation)
    received = await read_whole(client, generation["id"], transport)
    question, answer = await client.messages(conversation)
    assert question["id"] == turn["message"]["id"]
    assert (answer["id"], answer["content"]) == (generation["message"], received.answer)
    assert answer["versions"] == [turn["generation"]["message"], generation["message"]]
    # The first is still there.
    await client.change(conversation, leaf=turn["generation"]["message"])
    assert (await client.messages(conversation))[-1]["id"] == turn["generation"]["message"]


async def test_it_is_told_to_whoever_watches_in_order_of_the_changes(client: Client) -> None:
    conversation = await client.begin()
    await answered(client, conversation)
    async with aclosing(by_websocket(client, conversation, None)) as frames:
        await anext(frames)
        generation = await client.regenerate(
            conversation, message=(await client.messages(conversation))[-1]["id"]
        )
        seen = await collect(
            frames, lambda frame: frame["type"] == "generation" and frame["resource"]["status"] == "completed"
        )
    newest = {(frame["type"], frame["resource"]["id"]): frame["resource"] for frame in seen}
    assert newest.keys() == {
        ("message", generation["message"]),
        ("generation", generation["id"]),
        ("conversation", conversation),
    }
    assert newest["conversation", conversation]["leaf"] == generation["message"]


async def test_none_is_made_beside_one_that_is_being_made_and_a_key_makes_it_once(client: Client) -> None:
    conversation = await client.begin()
    assert (await refusal(client.regenerate(conversation)))["code"] == "nothing_to_regenerate"
    turn = await answered(client, conversation)
    long = await client.send(conversation, "Long. [[tokens=4000]]", parent=turn["generation"]["message"])
    problem = await refusal(client.regenerate(conversation))
    assert (problem["status"], problem["code"]) == (409, "turn_in_progress")
    assert problem["generation"] == long["generation"]["id"]
    await client.cancel(long["generation"]["id"])
    await read_whole(client, long["generation"]["id"])
    first = await client.regenerate(conversation, key="regenerate", message=turn["generation"]["message"])
    assert (
        await client.regenerate(conversation, key="regenerate", message=turn["generation"]["message"])
        == first
    )
    assert (await refusal(client.regenerate(conversation, key="regenerate")))["code"] == "key_reused"
    await read_whole(client, first["id"])


async def test_what_failed_is_made_again_and_nothing_else(client: Client) -> None:
    conversation = await client.begin()
    failed = (await answered(client, conversation, "[[fault=error-line]] [[tokens=5]]"))["generation"]
    again = await client.retry(failed["id"])
    assert (again["retry_of"], again["conversation"]) == (failed["id"], conversation)
    await read_whole(client, again["id"])
    assert (await client.messages(conversation))[-1]["versions"] == [failed["message"], again["message"]]

    work = await client.hand_in(
        "[[fault=error-line]] [[tokens=5]]", priority="interactive", metadata={"n": 1}
    )
    await read_whole(client, work)
    handed_in = await client.retry(work, key="retry")
    assert await client.retry(work, key="retry") == handed_in
    assert (handed_in["retry_of"], handed_in["metadata"]) == (work, {"n": 1})
    await read_whole(client, handed_in["id"])

    completed = (await answered(client, await client.begin()))["generation"]["id"]
    problem = await refusal(client.retry(completed))
    assert (problem["status"], problem["code"]) == (409, "not_failed")


async def test_many_who_change_one_conversation_at_once_leave_a_whole_tree(client: Client) -> None:
    conversation = await client.begin()
    await answered(client, conversation)
    seeds = range(12)
    async with asyncio.timeout(40):
        await asyncio.gather(*(_meddle(client, conversation, random.Random(seed)) for seed in seeds))
        await _settled(client, conversation)
    exported = await _all_messages(client, conversation)
    _check_tree(exported)
    leaf = (await client.conversation(conversation))["leaf"]
    assert exported[leaf]["role"] == "assistant"
    assert all(each["status"] == "completed" for each in exported.values())
    await client.delete(conversation)


async def test_a_deletion_among_them_leaves_nothing(client: Client) -> None:
    for seed in range(4):
        conversation = await client.begin()
        await answered(client, conversation)
        meddling = [_meddle(client, conversation, random.Random(100 * seed + n)) for n in range(6)]
        await asyncio.gather(*meddling, client.delete(conversation))
        assert (await refusal(client.conversation(conversation)))["status"] == 404


async def _meddle(client: Client, conversation: str, dice: random.Random) -> None:
    for _ in range(6):
        try:
            await _one_thing(client, conversation, dice)
        except Refused as refused:
            assert refused.problem["code"] in _IN_EACH_OTHERS_WAY, refused.problem  # noqa: PT017


async def _one_thing(client: Client, conversation: str, dice: random.Random) -> None:
    shown = dice.choice(await client.messages(conversation))
    answer = shown["role"] == "assistant"
    things: list[Callable[[], Awaitable[Any]]] = [
        lambda: client.change(conversation, leaf=shown["id"]),
        lambda: client.change(conversation, title=f"Title {dice.random()}"),
        lambda: client.send(conversation, "Next. [[tokens=1]]"),
        lambda: client.send(conversation, "First. [[tokens=1]]", parent=None),
        lambda: client.regenerate(conversation),
    ]
    if answer:
        things += [
            lambda: client.send(conversation, "Edited. [[tokens=1]]", parent=shown["id"]),
            lambda: client.regenerate(conversation, message=shown["id"]),
        ]
    await dice.choice(things)()


async def _settled(client: Client, conversation: str) -> None:
    for generation in await _changed(client, conversation, "generation"):
        await read_whole(client, generation)


async def _all_messages(client: Client, conversation: str) -> dict[str, Json]:
    return await _changed(client, conversation, "message")


async def _changed(client: Client, conversation: str, kind: str) -> dict[str, Json]:
    """Read all of a kind as one who watches from the beginning does."""
    known: dict[str, Json] = {}
    after, newest = "0", str((await client.conversation(conversation))["change"])
    while int(after) < int(newest):
        answer = await client.call("GET", f"/conversations/{conversation}/events?after={after}&wait=0")
        known |= {
            frame["resource"]["id"]: frame["resource"] for frame in answer["events"] if frame["type"] == kind
        }
        after = answer["after"]
    return known


def _check_tree(messages: dict[str, Json]) -> None:
    beside: dict[str | None, list[str]] = {}
    for message in messages.values():
        beside.setdefault(message["parent"], []).append(message["id"])
    for message in messages.values():
        parent = messages[message["parent"]] if message["parent"] else None
        assert parent is None or (parent["role"] != message["role"] and parent["id"] < message["id"])
        assert message["versions"] == sorted(beside[message["parent"]])
    assert all(each["role"] == "user" for each in messages.values() if each["parent"] is None)
    answered_questions = {each["parent"] for each in messages.values() if each["role"] == "assistant"}
    assert answered_questions == {each["id"] for each in messages.values() if each["role"] == "user"}
