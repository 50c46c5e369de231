"""The serving process without its process: a real socket, real signals' work, a real drain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from chatserver.access.visitors import LOCAL
from chatserver.app.listening import address_of, listen
from chatserver.app.serve import Server
from chatserver.generation.states import Status
from tests.unit.works import Works, working

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
