"""A crash between what was asked and its answer: asking again with the same key does it once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import WebSocketException

from tests.harness.client import Client, Json, wait_for_some
from tests.harness.readers import read_whole
from tests.harness.service import Service, service_of
from tests.harness.sse import stream
from tests.harness.websocket import socket

_CRASHES = 5
_ASKED_AT_ONCE = 50
#: Seconds between an answer and the crash: up to what one takes.
_LONGEST_S = 0.004
SETTINGS = {"ollama.slots": 8}
SIMULATOR = ("--rate", "500", "--parallel", "8")

#: Asks for something under a key, and gives the answer.
Ask = Callable[[Client, str, str], Any]


async def _turn(client: Client, conversation: str, key: str) -> Json:
    return await client.send(conversation, f"{key} [[tokens=3]]", key=key)


async def _turn_by_websocket(client: Client, conversation: str, key: str) -> Json:
    async with socket(client.url) as opened:
        answer = await opened.ask("send", ref=key, conversation=conversation, content=f"{key} [[tokens=3]]")
    assert answer["type"] == "accepted"
    return {name: answer[name] for name in ("message", "generation")}


async def _turn_as_a_stream(client: Client, conversation: str, key: str) -> Json:
    path, body = f"/conversations/{conversation}/messages", {"content": f"{key} [[tokens=3]]"}
    async with stream(client, path, method="POST", json=body, headers={"Idempotency-Key": key}) as events:
        return dict((await anext(events)).data)


async def _work(client: Client, _: str, key: str) -> Json:
    return await client.call("POST", "/generations", {"prompt": f"{key} [[tokens=3]]"}, key=key)


async def _conversation(client: Client, _: str, key: str) -> Json:
    return await client.call("POST", "/conversations", {"title": key}, key=key)


_WAYS: tuple[Ask, ...] = (_turn, _turn_by_websocket, _turn_as_a_stream, _work, _conversation)


async def test_a_crash_before_the_answer_doubles_nothing(
    tmp_path: Path, rng: random.Random, record_property: Callable[[str, object], None]
) -> None:
    outcomes: Counter[str] = Counter()
    async with service_of(tmp_path, SETTINGS, SIMULATOR) as service:
        for crash in range(_CRASHES):
            outcomes += await _crash_and_repeat(service, rng, f"crash-{crash}")
        generations = await _all(service.client, "/generations")
        readings = await asyncio.gather(*(read_whole(service.client, one["id"]) for one in generations))
        assert {received.end["reason"] for received in readings if received.end} == {"completed"}
    record_property("asked", dict(outcomes))


async def _crash_and_repeat(service: Service, rng: random.Random, name: str) -> Counter[str]:
    client = service.client
    conversations = await asyncio.gather(*(client.begin() for _ in range(_ASKED_AT_ONCE)))
    before = await _things(client)
    keys = {f"{name}-{number}": rng.choice(_WAYS) for number in range(_ASKED_AT_ONCE)}

    asking = [
        asyncio.create_task(way(client, conversation, key))
        for (key, way), conversation in zip(keys.items(), conversations, strict=True)
    ]
    await wait_for_some(asking, rng.randrange(_ASKED_AT_ONCE * 3 // 4))
    await asyncio.sleep(rng.uniform(0, _LONGEST_S))
    await service.server.kill()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    await service.server.restart()
    stored = len(await _things(client)) - len(before)

    # Another way to ask for the same is the same.
    turns = [_turn, _turn_by_websocket, _turn_as_a_stream]
    repeats = await asyncio.gather(
        *(
            (rng.choice(turns) if way in turns else way)(client, conversation, key)
            for (key, way), conversation in zip(keys.items(), conversations, strict=True)
        )
    )
    for answer, repeat in zip(answers, repeats, strict=True):
        assert isinstance(answer, httpx.TransportError | WebSocketException | OSError) or answer == repeat
    await _check_once(client, before, keys, conversations)
    answered = sum(isinstance(answer, dict) for answer in answers)
    assert answered <= stored
    return Counter(answered=answered, stored=stored - answered, lost=_ASKED_AT_ONCE - stored)


async def _check_once(
    client: Client, before: set[str], keys: dict[str, Ask], conversations: list[str]
) -> None:
    assert len(await _things(client)) == len(before) + _ASKED_AT_ONCE
    for (key, way), conversation in zip(keys.items(), conversations, strict=True):
        refs = [message["ref"] for message in await client.messages(conversation)]
        assert refs == ([] if way in {_work, _conversation} else [key, None])


async def _things(client: Client) -> set[str]:
    """Everything that there is."""
    things = await _all(client, "/generations") + await _all(client, "/conversations")
    return {thing["id"] for thing in things}


async def _all(client: Client, path: str) -> list[Json]:
    found: list[Json] = []
    cursor = ""
    while cursor is not None:
        page = await client.call("GET", f"{path}{f'?cursor={cursor}' if cursor else ''}")
        found += page["items"]
        cursor = page["next_cursor"]
    return found
