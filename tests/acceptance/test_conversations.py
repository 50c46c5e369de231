"""What happens to a conversation itself: it is changed, read again and deleted."""

import asyncio
import re
from contextlib import aclosing

import pytest

from tests.harness.client import Client, Refused, visitor_of
from tests.harness.readers import TRANSPORTS, Moment, read, read_whole
from tests.harness.received import Received
from tests.harness.service import Service
from tests.harness.watching import Watch, collect, each_way

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def service(either_service: Service) -> Service:
    return either_service


async def refusal(call) -> dict:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.problem


@each_way
async def test_each_change_is_told_to_whoever_watches(client: Client, watch: Watch) -> None:
    conversation = await client.begin(title="Old")
    first = await client.send(conversation, "One. [[tokens=2]]")
    await read_whole(client, first["generation"]["id"])
    other = await client.send(conversation, "Two. [[tokens=2]]", parent=None)
    await read_whole(client, other["generation"]["id"])
    start = (await client.conversation(conversation))["change"]

    async with aclosing(watch(client, conversation, start)) as frames:
        for change in ({"title": "New"}, {"system": "Be short."}, {"leaf": first["message"]["id"]}):
            changed = await client.change(conversation, **change)
            seen = await collect(frames, lambda _: True)
            assert [(frame["type"], frame["id"]) for frame in seen] == [("conversation", changed["change"])]
            assert seen[0]["resource"] == changed
    assert changed["leaf"] == first["generation"]["message"]
    assert [message["id"] for message in await client.messages(conversation)] == [
        first["message"]["id"],
        first["generation"]["message"],
    ]


@each_way
async def test_deleting_ends_every_stream_of_it(client: Client, watch: Watch) -> None:
    conversation = await client.begin()
    running = (await client.send(conversation, "Long. [[tokens=4000]]"))["generation"]["id"]
    logs = [Received(running) for _ in TRANSPORTS]
    all_read = Moment(lambda: all(log.answer for log in logs))
    readers = [
        asyncio.create_task(read(client, log, transport, all_read.look))
        for log, transport in zip(logs, TRANSPORTS, strict=True)
    ]
    async with aclosing(watch(client, conversation, None)) as frames:
        await anext(frames)
        watching = asyncio.create_task(collect(frames, lambda frame: frame["type"] == "deleted"))
        await all_read.wait()
        await client.delete(conversation)
        results = await asyncio.gather(*readers, watching, return_exceptions=True)
    for result in results:
        match result:
            # A poll that came too late.
            case Refused(problem={"status": status}):
                assert status == 404
            case Received(end=end):
                assert end is not None
                assert end["reason"] == "cancelled"
            case [*_, last]:
                assert (last["type"], last["conversation"]) == ("deleted", conversation)
            case _:
                raise AssertionError(result)

    assert (await refusal(client.generation(running)))["status"] == 404
    assert (await refusal(client.conversation(conversation)))["status"] == 404
    assert (await refusal(client.delete(conversation)))["status"] == 404


async def test_turns_that_race_a_deletion_are_accepted_and_cancelled_or_find_nothing(
    service: Service, client: Client
) -> None:
    for _ in range(5):
        conversation = await client.begin()
        turns = [client.send(conversation, "Long. [[tokens=4000]]", parent=None) for _ in range(8)]
        results = await asyncio.gather(*turns, client.delete(conversation), return_exceptions=True)
        assert results.pop() is None
        for result in results:
            if isinstance(result, Refused):
                assert result.problem["status"] == 404
            else:
                gone = await refusal(client.generation(result["generation"]["id"]))
                assert gone["status"] == 404
    await service.seen(in_flight=0)


async def test_what_is_known_is_not_sent_again(client: Client) -> None:
    conversation = await client.begin()
    path = f"/api/v1/conversations/{conversation}"
    for address in (path, f"{path}/messages"):
        tag = (await client.http.get(address)).headers["etag"]
        known = await client.http.get(address, headers={"If-None-Match": tag})
        assert (known.status_code, known.content) == (304, b"")
    await read_whole(client, (await client.send(conversation, "Hi. [[tokens=2]]"))["generation"]["id"])
    assert (await client.http.get(f"{path}/messages", headers={"If-None-Match": tag})).status_code == 200
    stale = await client.http.patch(path, json={"title": "Late"}, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")


async def test_a_message_is_edited_by_sending_it_with_its_parent(client: Client) -> None:
    conversation = await client.begin()
    first = await client.send(conversation, "One. [[tokens=2]]")
    await read_whole(client, first["generation"]["id"])
    second = await client.send(conversation, "Two. [[tokens=2]]")
    await read_whole(client, second["generation"]["id"])
    for edited in (second, first):
        parent = edited["message"]["parent"]
        again = await client.send(conversation, "Other. [[tokens=2]]", parent=parent)
        await read_whole(client, again["generation"]["id"])
        assert again["message"]["versions"] == [edited["message"]["id"], again["message"]["id"]]
    branch = await client.messages(conversation)
    assert [message["id"] for message in branch] == [again["message"]["id"], again["generation"]["message"]]
    # What was there before is still there.
    await client.change(conversation, leaf=second["message"]["id"])
    assert len(await client.messages(conversation)) == 4


async def test_what_belongs_to_another_is_not_there(service: Service, client: Client) -> None:
    conversation = await client.begin()
    async with visitor_of(service.url) as visitor:
        for call in (visitor.change(conversation, title="Mine"), visitor.delete(conversation)):
            assert (await refusal(call))["status"] == 404
    assert (await client.conversation(conversation))["title"] is None


async def test_conversations_are_found_by_what_was_said_and_what_they_are_called(
    service: Service, client: Client
) -> None:
    async with visitor_of(service.url) as visitor:
        rivers = await visitor.begin(title="Rivers of Europe")
        lakes = await visitor.begin(title="Lakes")
        sent = await visitor.send(lakes, "Which is the deepést? [[tokens=20]]")
        answer = (await read_whole(visitor, sent["generation"]["id"])).answer
        word = max(re.findall("[a-z]+", answer.lower()), key=len)
        for search, found in (
            ("europe riv", [rivers]),
            ("DEEPEST", [lakes]),
            (f"which {word}", [lakes]),
            ("which rivers", []),
            ('") OR *', []),
        ):
            assert await visitor.search(search) == found, search
        await visitor.change(lakes, title="Rivers too")
        # Last active first.
        assert await visitor.search("rivers") == [lakes, rivers]
        await visitor.delete(rivers)
        assert await visitor.search("rivers") == [lakes]
        assert await client.search("deepest") == []
