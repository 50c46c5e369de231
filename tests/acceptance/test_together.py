"""Many at once in one conversation: each gets what it asked for or is told why not, and nothing is lost."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.harness.client import Client, Json, Refused
from tests.harness.readers import read_whole
from tests.harness.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

_ROUNDS, _AT_ONCE = 4, 24


@pytest.fixture
def service(either_service: Service) -> Service:
    return either_service


async def test_turns_edits_regenerations_and_changes_at_once_leave_a_tree_that_has_them_all(
    client: Client, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    conversation = await client.begin()
    first = await client.send(conversation, "First [[tokens=3]]")
    await read_whole(client, first["generation"]["id"])
    accepted, outcomes = [first], Counter[str]()
    for number in range(_ROUNDS):
        doing = [partial(rng.choice(_DOINGS), client, conversation, first) for _ in range(_AT_ONCE)]
        answers = await asyncio.gather(*(_outcome(one, f"{number}.{n}") for n, one in enumerate(doing)))
        outcomes.update(answer if isinstance(answer, str) else "accepted" for answer in answers)
        accepted += [answer for answer in answers if isinstance(answer, dict) and "generation" in answer]
        # Some of the next round come while some of these are answered.
        await read_whole(client, accepted[-1]["generation"]["id"])
    record_property("outcomes", dict(outcomes))
    assert set(outcomes) == {"accepted", "turn_in_progress"}
    await asyncio.gather(*(read_whole(client, each["generation"]["id"]) for each in accepted))
    await _check_tree(client, conversation, accepted)


async def _turn(client: Client, conversation: str, _: Json, name: str) -> Json:
    return await client.send(conversation, f"{name} [[tokens=3]]")


async def _edit(client: Client, conversation: str, first: Json, name: str) -> Json:
    return await client.send(conversation, f"{name} [[tokens=3]]", parent=first["generation"]["message"])


async def _anew(client: Client, conversation: str, _: Json, name: str) -> Json:
    return await client.send(conversation, f"{name} [[tokens=3]]", parent=None)


async def _again(client: Client, conversation: str, first: Json, _: str) -> Json:
    return {"generation": await client.regenerate(conversation, message=first["generation"]["message"])}


async def _title(client: Client, conversation: str, _: Json, name: str) -> Json:
    return await client.change(conversation, title=name)


async def _leaf(client: Client, conversation: str, first: Json, _: str) -> Json:
    return await client.change(conversation, leaf=first["message"]["id"])


async def _summary(client: Client, conversation: str, _: Json, name: str) -> Json:
    return await client.call("PUT", f"/conversations/{conversation}/summary", {"text": name})


_DOINGS = (_turn, _edit, _anew, _again, _title, _leaf, _summary)


async def _outcome(doing: Callable[[str], Awaitable[Json]], name: str) -> Json | str:
    try:
        return await doing(name)
    except Refused as refused:
        return str(refused.problem["code"])


async def _check_tree(client: Client, conversation: str, accepted: list[Json]) -> None:
    export = await client.call("GET", f"/conversations/{conversation}/export?format=json")
    messages = {message["id"]: message for message in export["messages"]}
    assert len(messages) == len(export["messages"]) == sum(len(each) for each in accepted)
    for each in accepted:
        answer = messages[each["generation"]["message"]]
        assert (answer["status"], answer["generation"]) == ("completed", each["generation"]["id"])
        if "message" in each:
            question = messages[each["message"]["id"]]
            assert (question["content"], question["parent"]) == (
                each["message"]["content"],
                each["message"]["parent"],
            )
            assert answer["parent"] == question["id"]
        else:
            assert answer["parent"] == accepted[0]["message"]["id"]
    for message in messages.values():
        beside = [one["id"] for one in messages.values() if one["parent"] == message["parent"]]
        assert message["versions"] == sorted(beside)
    assert export["conversation"]["leaf"] in messages


async def test_of_many_changes_meant_for_one_version_one_is_made(client: Client) -> None:
    conversation = await client.begin(title="Old")
    tag = (await client.http.get(f"/api/v1/conversations/{conversation}")).headers["etag"]

    async def change(number: int) -> int:
        path = f"/api/v1/conversations/{conversation}"
        changed = {"title": f"New {number}"}
        return (await client.http.patch(path, json=changed, headers={"If-Match": tag})).status_code

    assert Counter(await asyncio.gather(*map(change, range(20)))) == {200: 1, 412: 19}
