"""Nothing that was done with waits for the collector: looking for garbage holds up everybody who reads."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import httpx
import orjson
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from chatserver.access.visitors import LOCAL
from chatserver.generation.ids import GENERATION, new_id
from tests.unit.app.test_serve import EVENTS, STALLED, Serving, serving

TURN = {"content": "Hello"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    async with serving(tmp_path_factory.mktemp("data")) as one:
        yield one


async def begun(http: httpx.AsyncClient) -> str:
    return str((await http.post("/api/v1/conversations", json={})).json()["id"])


async def streamed(serving_: Serving) -> None:
    http = serving_.http
    answer = await http.post(f"/api/v1/conversations/{await begun(http)}/messages", json=TURN, headers=EVENTS)
    assert "event: end" in answer.text


async def polled(serving_: Serving) -> None:
    http = serving_.http
    accepted = await http.post(f"/api/v1/conversations/{await begun(http)}/messages", json=TURN)
    generation = accepted.json()["generation"]["id"]
    await serving_.works.ended(generation)
    assert (await http.get(f"/api/v1/generations/{generation}/events")).json()["ended"] is True


async def over_a_socket(serving_: Serving) -> None:
    conversation = await begun(serving_.http)
    address = str(serving_.http.base_url).replace("http", "ws")
    async with connect(f"{address}/api/v1/ws", proxy=None) as socket:
        said = {"type": "send", "conversation": conversation, "ref": new_id(GENERATION), **TURN}
        await socket.send(orjson.dumps(said).decode())
        async with asyncio.timeout(5):
            while '"type":"end"' not in await socket.recv():
                pass


async def stopped(serving_: Serving) -> None:
    generation = await serving_.works.accept(STALLED, principal=LOCAL)
    await serving_.works.answering(generation)
    async with serving_.http.stream(
        "GET", f"/api/v1/generations/{generation}/events", headers=EVENTS
    ) as read:
        serving_.works.engine.cancel(generation)
        assert "event: end" in "".join([chunk async for chunk in read.aiter_text()])


async def refused(serving_: Serving) -> None:
    missing = f"/api/v1/conversations/{new_id('conv')}/messages"
    assert (await serving_.http.post(missing, json=TURN)).status_code == 404


@contextmanager
def garbage() -> Iterator[list[object]]:
    """Give, once the block is left, what of ours only the collector would have found."""
    ours: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield ours
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours += filter(_is_ours, gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _is_ours(one: object) -> bool:
    room, _, name = type(one).__module__.partition(".")
    return room == "chatserver" and not name.startswith("upstream.simulator")


@pytest.mark.parametrize("use", [streamed, polled, over_a_socket, stopped, refused])
async def test_what_was_asked_and_answered_leaves_no_circles(
    served: Serving, use: Callable[[Serving], Awaitable[None]]
) -> None:
    # What is made once is made.
    await use(served)
    await served.works.idle()
    with garbage() as found:
        for _ in range(3):
            await use(served)
        await served.works.idle()
        # Connections go in the next turns of the loop.
        await until_closed(served)
    assert sorted({type(one).__qualname__ for one in found}) == []


async def until_closed(serving_: Serving) -> None:
    async with asyncio.timeout(5):
        while len(serving_.server.server_state.connections) > 1:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)
