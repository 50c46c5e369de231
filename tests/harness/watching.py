"""Followers of a conversation's changes over each transport."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from tests.harness.client import Client
from tests.harness.received import Frame
from tests.harness.sse import stream
from tests.harness.websocket import socket

Watch = Callable[[Client, str, int | None], AsyncGenerator[Frame]]

#: Seconds in which whoever watches must have seen what it waits for.
WATCH_S = 20


async def by_sse(client: Client, conversation: str, after: int | None) -> AsyncGenerator[Frame]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with stream(client, f"/conversations/{conversation}/events", headers=headers) as events:
        async for event in events:
            if event.name != "hello":
                assert (event.name, event.id) == (event.data["type"], str(event.data["id"]))
                yield event.data


async def by_longpoll(client: Client, conversation: str, after: int | None) -> AsyncGenerator[Frame]:
    position = None if after is None else str(after)
    while True:
        query = "" if position is None else f"?after={position}"
        answer = await client.call("GET", f"/conversations/{conversation}/events{query}")
        for frame in answer["events"]:
            yield frame
        if answer["ended"]:
            return
        position = answer["after"]


async def by_websocket(client: Client, conversation: str, after: int | None) -> AsyncGenerator[Frame]:
    async with socket(client.url) as opened:
        position = {} if after is None else {"after": after}
        assert (await opened.ask("watch", conversation=conversation, **position))["type"] == "ok"
        assert [frame["type"] for frame in opened.earlier] == ["ready"]
        opened.earlier.clear()
        while True:
            frame = await opened.receive()
            yield frame
            if frame["type"] == "deleted":
                return


each_way = pytest.mark.parametrize("watch", [by_sse, by_longpoll, by_websocket])


async def collect(frames: AsyncGenerator[Frame], until: Callable[[Frame], bool]) -> list[Frame]:
    """Read up to the frame wanted; change numbers only grow, and a number is never used twice."""
    seen: list[Frame] = []
    async with asyncio.timeout(WATCH_S):
        async for frame in frames:
            assert not seen or frame["id"] > seen[-1]["id"], (seen[-1], frame)
            seen.append(frame)
            if until(frame):
                return seen
    raise AssertionError(seen)
