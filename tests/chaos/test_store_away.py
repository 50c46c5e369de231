"""A store that is away for a while: what is new is refused, what runs goes on, and nothing needs a hand."""

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

from tests.harness.away import disk_full, file_locked, server_stopped
from tests.harness.client import Client
from tests.harness.postgres import running_postgres
from tests.harness.processes import on_postgres
from tests.harness.readers import Moment, by_sse, read
from tests.harness.received import Received
from tests.harness.service import Service, service_of

_ANSWERS = 4
_SETTINGS = {"ollama.slots": 8, "store.checkpoint_ms": 50}
_SIMULATOR = ("--rate", "60", "--parallel", "8")
#: About a second.
_QUESTION = "Long. [[tokens=60]]"
#: Characters after which an answer counts as begun.
_BEGUN = 10


async def test_a_postgresql_that_stops_and_starts_again(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        settings = {**_SETTINGS, **on_postgres(postgres.address(postgres.create()))}
        async with service_of(tmp_path, settings, _SIMULATOR) as service:
            await _check(service, server_stopped(postgres))
            # Its lock went with it, and is held again.
            await service.server.said('"database_lock_taken_again"')


async def test_a_disk_that_is_full(tmp_path: Path) -> None:
    async with service_of(tmp_path, _SETTINGS, _SIMULATOR) as service:
        await _check(service, disk_full(service.server))


async def test_a_file_that_another_process_has_locked(tmp_path: Path) -> None:
    async with service_of(tmp_path, _SETTINGS, _SIMULATOR) as service:
        await _check(service, file_locked(tmp_path / "chatserver.db"))


async def _check(service: Service, away: AbstractAsyncContextManager[None]) -> None:
    client = service.client
    conversations = [await client.begin() for _ in range(_ANSWERS)]
    async with asyncio.TaskGroup() as group:
        accepted = [await client.send(conversation, _QUESTION) for conversation in conversations]
        readings = [Received(each["generation"]["id"]) for each in accepted]
        begun = Moment(lambda: all(len(received.answer) > _BEGUN for received in readings))
        for received in readings:
            group.create_task(read(client, received, by_sse, begun.look))
        await begun.wait()
        async with away:
            await asyncio.gather(*(_check_refused(client, conversation) for conversation in conversations))
            # The models are done, the readers have it all; but no end is told that isn't kept.
            await service.seen(in_flight=0, served=_ANSWERS)
            assert [received.end for received in readings] == [None] * _ANSWERS
    for conversation, received in zip(conversations, readings, strict=True):
        await _check_kept(client, conversation, received)
    assert len((await client.call("GET", "/conversations"))["items"]) == _ANSWERS


async def _check_refused(client: Client, conversation: str) -> None:
    """Nothing new is taken, whichever call it is."""
    calls = [
        partial(client.http.post, "/api/v1/conversations", json={}),
        partial(client.http.post, "/api/v1/generations", json={"prompt": "Hi"}),
        partial(
            client.http.post,
            f"/api/v1/conversations/{conversation}/messages",
            json={"content": "Hi", "parent": None},
        ),
    ]
    for answer in await asyncio.gather(*(call() for call in calls)):
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1


async def _check_kept(client: Client, conversation: str, received: Received) -> None:
    """The answer is whole, there is nothing of what was refused, and the talk goes on."""
    assert received.end is not None
    assert received.end["reason"] == "completed"
    assert received.resets == []
    assert (await client.generation(received.generation))["result"] == received.answer
    question, answer = await client.messages(conversation)
    assert (answer["content"], answer["status"]) == (received.answer, "completed")
    assert question["versions"] == [question["id"]]
    assert (await client.send(conversation, "Go on. [[tokens=2]]"))["message"]["parent"] == answer["id"]
