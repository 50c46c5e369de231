import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.errors import Unavailable
from chatserver.upstream.client import Deadlines, OllamaClient
from chatserver.upstream.fleet import Fleet, full_name
from chatserver.upstream.simulator import SimulatorOptions, serve_simulator
from tests.unit.clock import MovedClock
from tests.unit.properties import PROPERTY
from tests.unit.upstream.server import Wait, plain, scripted

DEADLINES = Deadlines(connect=5, first_token=5, between_tokens=5, plain=5)
#: Where nobody listens.
NOWHERE = "http://127.0.0.1:1"


@asynccontextmanager
async def fleet_of(*urls: str, default: str = "", clock: MovedClock | None = None) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(OllamaClient(url, DEADLINES)) for url in urls]
        yield Fleet(clients, default, (clock or MovedClock()).now)


@pytest.fixture
async def simulated() -> AsyncIterator[str]:
    async with serve_simulator(SimulatorOptions()) as url:
        yield url


def tags(*names: str) -> bytes:
    return plain(orjson.dumps({"models": [{"name": name, "capabilities": ["completion"]} for name in names]}))


async def test_it_knows_which_servers_answer_and_what_they_have(simulated) -> None:
    async with fleet_of(NOWHERE, simulated) as fleet:
        assert fleet.answering == 0
        await fleet.refresh()
        assert fleet.answering == 1
        names = [model.name for model in await fleet.models()]
        assert names == sorted(names)
        assert "sim-chat:latest" in names
        assert fleet.hosts("sim-chat") == (fleet.clients[1],)
        # Nobody says that they have it, so all are worth asking.
        assert fleet.hosts("nobody-has-it") == fleet.clients


async def test_a_model_is_described_as_its_server_does(simulated) -> None:
    async with fleet_of(simulated) as fleet:
        model = next(model for model in await fleet.models() if model.name == "sim-think:latest")
        assert (model.context_length, model.parameter_size, model.loaded) == (32768, "14.8B", False)
        assert (model.family, model.quantization, len(model.digest)) == ("sim", "Q4_K_M", 64)
        assert "thinking" in model.capabilities


async def test_the_context_length_is_known_by_any_name_or_not_at_all(simulated) -> None:
    async with fleet_of(simulated) as fleet:
        assert await fleet.context_length("sim-tiny") == await fleet.context_length("sim-tiny:latest") == 512
        assert await fleet.context_length("nobody-has-it") is None
    async with fleet_of(NOWHERE) as fleet:
        assert await fleet.context_length("sim-tiny") is None
    async with fleet_of() as fleet:
        assert await fleet.context_length("sim-tiny") is None


async def test_descriptions_are_asked_for_once() -> None:
    answer = plain(b'{"model_info":{"llama.context_length":4096}}')
    async with scripted(answer) as server, fleet_of(server.url) as fleet:
        for _ in range(3):
            assert await fleet.context_length("m") == 4096
        assert len(server.requests) == 1


async def test_those_who_need_a_description_at_the_same_time_share_one_question() -> None:
    wait = Wait()
    async with scripted(wait, plain(b'{"model_info":{"llama.context_length":4096}}')) as server:
        async with fleet_of(server.url) as fleet:
            asking = [asyncio.create_task(fleet.context_length("m")) for _ in range(20)]
            await asyncio.wait_for(server.asked.wait(), 5)
            # The first one's going away takes nothing from the others.
            asking[0].cancel()
            wait.go.set()
            assert await asyncio.gather(*asking[1:]) == [4096] * 19
        assert len(server.requests) == 1


async def test_a_description_that_failed_is_asked_for_again() -> None:
    async with scripted(plain(b"", "500 Internal Server Error")) as server, fleet_of(server.url) as fleet:
        for asked in (1, 2):
            assert await asyncio.gather(*(fleet.context_length("m") for _ in range(5))) == [None] * 5
            assert len(server.requests) == asked


async def test_the_default_is_the_one_that_was_set_or_the_first_that_can_talk(simulated) -> None:
    async with fleet_of(simulated, default="mine") as fleet:
        assert await fleet.default_model() == "mine"
    async with fleet_of(simulated) as fleet:
        assert await fleet.default_model() == "sim-chat:latest"
    async with fleet_of(NOWHERE) as fleet:
        with pytest.raises(Unavailable, match="No model server answers yet"):
            await fleet.default_model()


async def test_a_look_that_is_fresh_enough_is_not_repeated(simulated) -> None:
    clock = MovedClock()
    async with fleet_of(simulated, clock=clock) as fleet, OllamaClient(simulated, DEADLINES) as other:
        for _ in range(3):
            await fleet.models()
        assert len(await other.tags()) > 0
        clock.move(4.9)
        await fleet.refresh(at_most=5)
        looked = fleet._seen
        clock.move(0.2)
        await fleet.refresh(at_most=5)
        assert fleet._seen is not looked


async def test_many_who_ask_at_once_share_one_look() -> None:
    wait = Wait()
    async with scripted(wait, tags("m")) as server, fleet_of(server.url) as fleet:
        asking = [asyncio.create_task(fleet.refresh(at_most=5)) for _ in range(20)]
        await asyncio.wait_for(server.asked.wait(), 5)
        wait.go.set()
        await asyncio.gather(*asking)
        # One for the tags, one for what is loaded.
        assert len(server.requests) == 2


async def test_a_lost_server_is_out_of_the_choice_until_the_next_look_finds_it() -> None:
    async with (
        serve_simulator(SimulatorOptions()) as first,
        serve_simulator(SimulatorOptions()) as second,
        fleet_of(first, second) as fleet,
    ):
        await fleet.refresh()
        assert fleet.hosts("sim-chat") == fleet.clients
        fleet.lost(fleet.clients[0])
        assert fleet.hosts("sim-chat") == (fleet.clients[1],)
        fleet.lost(fleet.clients[0])
        await fleet.refresh(at_most=1000)
        assert fleet.hosts("sim-chat") == fleet.clients


async def test_servers_that_are_replaced_while_they_are_looked_at_are_not_taken_for_the_new_ones() -> None:
    wait = Wait()
    async with (
        scripted(wait, tags("old")) as slow,
        fleet_of(slow.url) as fleet,
        fleet_of(NOWHERE, NOWHERE) as others,
    ):
        looking = asyncio.create_task(fleet.refresh())
        await asyncio.wait_for(slow.asked.wait(), 5)
        fleet.replace(others.clients)
        wait.go.set()
        await looking
        assert fleet.answering == 0
        await fleet.refresh(at_most=1000)
        assert fleet.hosts("old") == others.clients


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"model_info": None},
        {"model_info": "text"},
        {"model_info": {"a.context_length": "long"}},
        {"model_info": {"a.context_length": None}},
        {"model_info": {"a.context_length": 0}},
        {"model_info": {"a.context_length": -5}},
        {"details": "text", "capabilities": "text"},
        {"details": None, "capabilities": None},
        {"capabilities": {"a": 1}},
    ],
)
async def test_a_description_that_says_little_or_nonsense_harms_nobody(description) -> None:
    async with scripted(plain(orjson.dumps(description))) as server, fleet_of(server.url) as fleet:
        assert await fleet.context_length("m") is None
        assert await fleet._model("m:latest") is not None


@pytest.mark.parametrize(
    "listed", [[{}], [{"name": None}], [{"name": 7}], [{"name": "m", "capabilities": 7, "digest": None}]]
)
async def test_a_list_that_says_nonsense_harms_nobody(listed) -> None:
    async with scripted(plain(orjson.dumps({"models": listed}))) as server, fleet_of(server.url) as fleet:
        await fleet.models()
        assert fleet.answering == 1
        assert isinstance(await fleet.default_model(), str)


async def test_watching_looks_again_and_again(simulated, monkeypatch) -> None:
    monkeypatch.setattr("chatserver.upstream.fleet._LOOK_EVERY", 0.001)
    async with fleet_of(simulated) as fleet:
        watching = asyncio.create_task(fleet.watch())
        async with asyncio.timeout(5):
            while not fleet.answering:  # noqa: ASYNC110 - a fleet tells nobody
                await asyncio.sleep(0.001)
            fleet.lost(fleet.clients[0])
            while not fleet.answering:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("llama3", "llama3:latest"),
        ("llama3:8b", "llama3:8b"),
        ("me/model", "me/model:latest"),
        ("hf.co/me/model:Q4", "hf.co/me/model:Q4"),
        ("host:5000/me/model", "host:5000/me/model:latest"),
    ],
)
def test_a_name_is_written_as_it_is_listed(name, full) -> None:
    assert full_name(name) == full


@PROPERTY
@given(st.text(min_size=1, max_size=20))
def test_a_full_name_stays_as_it_is(name) -> None:
    assert full_name(full_name(name)) == full_name(name)
