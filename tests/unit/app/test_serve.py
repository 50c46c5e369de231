"""The serving process without its process: a real socket, real signals' work, a real drain."""

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from chatserver.access.visitors import LOCAL
from chatserver.api import docs
from chatserver.app.listening import address_of, listen
from chatserver.app.serve import Server
from chatserver.generation.states import Status
from tests.harness.raw import raw, request
from tests.unit.works import Works, reference_page, working

STALLED = "[[fault=stall]] [[tokens=8]]"


@dataclass
class Serving:
    works: Works
    server: Server
    task: asyncio.Task[None]
    http: httpx.AsyncClient

    async def over(self) -> None:
        await asyncio.wait_for(asyncio.shield(self.task), 5)


@asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[Serving]:
    async with working(folder, **settings) as works:
        listener = listen("127.0.0.1", 0)
        # The page of all operations is written once for all servers.
        with patch.object(docs, "reference", reference_page):
            server = Server(works.parts)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="server")
        async with httpx.AsyncClient(base_url=address_of(listener), trust_env=False, verify=False) as http:
            try:
                yield Serving(works, server, task, http)
            finally:
                server.stop()
                server.stop()
                await asyncio.wait_for(task, 5)


async def test_told_to_stop_it_lets_answers_and_their_readers_finish(tmp_path) -> None:
    async with serving(tmp_path, server__grace_s=20) as serving_:
        works, http = serving_.works, serving_.http
        generation = await works.accept(STALLED, principal=LOCAL)
        await works.answering(generation)
        path = f"/api/v1/generations/{generation}/events"
        async with http.stream("GET", path, headers={"accept": "text/event-stream"}) as stream:
            chunks = stream.aiter_text()
            assert "hello" in await anext(chunks)
            assert "server" not in stream.headers
            serving_.server.stop()
            await asyncio.sleep(0)
            # New work is refused, what is here can still be read.
            refused = await http.post("/api/v1/generations", json={"prompt": "Hi"})
            assert (refused.status_code, refused.json()["code"]) == (503, "draining")
            assert refused.headers["retry-after"] == "2"
            assert (await http.get(f"/api/v1/generations/{generation}")).json()["status"] == "running"
            assert not serving_.task.done()
            works.engine.cancel(generation)
            assert "event: end" in "".join([chunk async for chunk in chunks])
        await serving_.over()
        assert (await works.record(generation)).status is Status.CANCELLED


EVENTS = {"accept": "text/event-stream"}


async def test_nobody_who_only_watches_or_waits_holds_up_the_end(tmp_path) -> None:
    async with serving(tmp_path, server__grace_s=20, ollama__slots=1) as serving_:
        works, http = serving_.works, serving_.http
        begun = await works.converse(principal=LOCAL)
        conversation = begun.id
        running = await works.accept(STALLED, principal=LOCAL)
        await works.answering(running)
        waiting = await works.accept(principal=LOCAL)
        address = str(http.base_url).replace("http", "ws")
        async with (
            connect(f"{address}/api/v1/ws", proxy=None) as idle,
            connect(f"{address}/api/v1/ws", proxy=None) as watching,
            connect(f"{address}/api/v1/ws", proxy=None) as reading,
            http.stream("GET", f"/api/v1/conversations/{conversation}/events", headers=EVENTS) as changes,
            http.stream("GET", f"/api/v1/generations/{waiting}/events", headers=EVENTS) as queued,
        ):
            polls = [
                asyncio.create_task(http.get(f"/api/v1/{path}/events", params={"after": after, "wait": 30}))
                for path, after in (
                    (f"conversations/{conversation}", begun.change),
                    (f"generations/{waiting}", "0.0"),
                )
            ]
            await watching.send(f'{{"type":"watch","conversation":"{conversation}"}}')
            await reading.send(f'{{"type":"subscribe","generation":"{running}"}}')
            await until_read(reading, "delta")
            await until_read(watching, "conversation")
            await until_there(7, serving_)
            serving_.server.stop()
            for socket in (idle, watching):
                assert await close_code(socket) == 1012
            assert "event: conversation" in await text_of(changes)
            assert "event: queued" in await text_of(queued)
            # What waits comes after the next start, so whoever polled for it is answered; the other may stay.
            assert (await polls[1]).json()["ended"] is False
            assert not polls[0].done()
            assert not serving_.task.done()
            works.engine.cancel(running)
            await until_read(reading, "end")
            assert await close_code(reading) == 1012
            await polls[0]
        await serving_.over()
        assert (await works.record(waiting)).status is Status.QUEUED


async def until_there(readers: int, serving_: Serving) -> None:
    async with asyncio.timeout(5):
        while len(serving_.works.parts.readers) < readers:  # noqa: ASYNC110 - nobody is told of who comes
            await asyncio.sleep(0.01)


async def text_of(stream: httpx.Response) -> str:
    return "".join([chunk async for chunk in stream.aiter_text()])


async def until_read(socket: Any, kind: str) -> None:
    async with asyncio.timeout(5):
        while f'"type":"{kind}"' not in await socket.recv():
            pass


async def close_code(socket: Any) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        await until_read(socket, "nothing")
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


async def test_who_does_not_take_its_last_words_is_cut(tmp_path, caplog) -> None:
    async with (
        serving(tmp_path, server__grace_s=1.0) as serving_,
        raw(str(serving_.http.base_url).rstrip("/"), small_window) as stalled,
    ):
        # More than all buffers on the way hold.
        stalled.say(16 * request("GET", "/openapi.json"))
        await stalled.reader.readuntil(b"200 OK")
        stalled.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(blocked(serving_), 5)
        serving_.server.stop()
        await serving_.over()
    # uvicorn would have cancelled the call that answers it.
    assert [line for line in caplog.messages if "Cancel" in line or "Exception" in line] == []


def small_window(plain: sockets.socket) -> None:
    plain.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)


async def blocked(serving_: Serving) -> None:
    """Wait until the server holds back what its peer doesn't take."""
    connections = serving_.server.server_state.connections
    while not any(one.transport.get_write_buffer_size() for one in connections):  # noqa: ASYNC110 - nobody is told
        await asyncio.sleep(0.01)


async def test_a_turn_being_taken_is_answered_before_its_connection_goes(tmp_path) -> None:
    async with serving(tmp_path, server__grace_s=20) as serving_:
        works = serving_.works
        conversation = (await works.converse(principal=LOCAL)).id
        address = str(serving_.http.base_url).replace("http", "ws")
        async with connect(f"{address}/api/v1/ws", proxy=None) as socket:
            async with works.writer_held():
                turn = {"type": "send", "ref": "r", "conversation": conversation, "content": "[[tokens=3]]"}
                await socket.send(orjson.dumps(turn).decode())
                await works.admitted()
                serving_.server.stop()
                await asyncio.sleep(0.05)
            await until_read(socket, "accepted")
            await until_read(socket, "end")
            assert await close_code(socket) == 1012
        await serving_.over()
