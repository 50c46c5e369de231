"""Ways to ask for an answer and read it while it is made: each transport, and the POST that streams."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from tests.harness.client import Client
from tests.harness.readers import Transport, by_longpoll, by_sse, read
from tests.harness.received import Received
from tests.harness.sse import stream
from tests.harness.websocket import Socket, socket

Until = Callable[[Received], bool]


class Way(Protocol):
    """Asks in a conversation of its own; reads to the end, or until it is enough, and then leaves."""

    async def __call__(self, client: Client, content: str, until: Until = ..., **more: Any) -> Received: ...


def never(_: Received) -> bool:
    return False


async def by_post(client: Client, content: str, until: Until = never, **more: Any) -> Received:
    """Read the stream that answers the POST."""
    path = f"/conversations/{await client.begin()}/messages"
    async with stream(client, path, method="POST", json={"content": content, **more}) as events:
        accepted = await anext(events)
        assert (accepted.name, accepted.id) == ("accepted", None)
        received = Received(accepted.data["generation"]["id"])
        received.connected()
        async for event in events:
            if event.name in {"hello", "heartbeat"}:
                continue
            received.take(event.data)
            if until(received):
                break
    return received


async def by_send(client: Client, content: str, until: Until = never, **more: Any) -> Received:
    """Send and read over one WebSocket."""
    conversation = await client.begin()
    async with socket(client.url, cookies=client.cookies) as opened:
        ref = str(uuid4())
        accepted = await opened.ask("send", ref=ref, conversation=conversation, content=content, **more)
        assert accepted["type"] == "accepted", accepted
        opened.earlier.clear()
        received = Received(accepted["generation"]["id"])
        received.connected()
        while received.end is None and not until(received):
            received.take(await opened.receive())
        if received.end is not None:
            await _check_silent(opened)
    return received


async def _check_silent(opened: Socket) -> None:
    """After the end nothing more comes of an answer: a pong follows it at once."""
    assert (await opened.ask("ping"))["type"] == "pong"
    assert opened.earlier == []


async def _ask_and_read(
    transport: Transport, client: Client, content: str, until: Until = never, **more: Any
) -> Received:
    return await read(client, Received(await client.ask(content, **more)), transport, until)


WAYS: dict[str, Way] = {
    "WebSocket": by_send,
    "SSE": partial(_ask_and_read, by_sse),
    "long-poll": partial(_ask_and_read, by_longpoll),
    "POST": by_post,
}
