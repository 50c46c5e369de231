import asyncio
import math

import pytest

from chatserver.upstream.simulator.catalogue import find_model
from chatserver.upstream.simulator.options import SimulatorOptions
from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.runners import FOR_EVER_S, Launch, Runners
from chatserver.upstream.simulator.stats import Stats

CHAT, EMBED = find_model("sim-chat"), find_model("sim-embed")
LAUNCH = Launch(4_096)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Room:
    def __init__(self, **options) -> None:
        self.clock = Clock()
        self.stats = Stats()
        self.runners = Runners(SimulatorOptions(**options), self.stats, self.clock)

    def names(self) -> list[str]:
        return [runner.model.name for runner, _ in self.runners.loaded()]

    async def use_once(self, model=CHAT, launch=LAUNCH, keep_alive=None) -> None:
        async with self.runners.use(model, launch, keep_alive):
            pass


async def test_a_model_is_loaded_once_and_stays() -> None:
    room = Room()
    await room.use_once()
    await room.use_once()
    assert room.stats.loads == 1
    assert room.names() == ["sim-chat:latest"]


async def test_an_unused_model_goes_when_its_time_is_over() -> None:
    room = Room(keep_alive_s=60)
    await room.use_once()
    room.clock.now += 59
    assert room.names() == ["sim-chat:latest"]
    room.clock.now += 1
    assert room.names() == []


async def test_the_last_request_decides_how_long_a_model_stays() -> None:
    room = Room(keep_alive_s=60)
    await room.use_once(keep_alive=600)
    await room.use_once(keep_alive=5)
    assert room.runners.loaded()[0][1] == 5


async def test_a_model_may_stay_for_ever_or_go_at_once() -> None:
    room = Room()
    await room.use_once(keep_alive=math.inf)
    assert room.runners.loaded()[0][1] == FOR_EVER_S
    await room.use_once(keep_alive=0)
    assert room.names() == []


async def test_a_model_in_use_stays_and_goes_after_it_was_unloaded() -> None:
    room = Room()
    async with room.runners.use(CHAT, LAUNCH, None):
        room.runners.unload(CHAT)
        room.clock.now += 10_000
        assert room.names() == ["sim-chat:latest"]
    assert room.names() == []


async def test_models_are_listed_by_the_time_they_have_left() -> None:
    room = Room()
    await room.use_once(CHAT, keep_alive=10)
    await room.use_once(EMBED, keep_alive=20)
    assert room.names() == ["sim-embed:latest", "sim-chat:latest"]


async def test_another_launch_waits_for_the_work_in_flight_and_reloads() -> None:
    room = Room()
    async with room.runners.use(CHAT, LAUNCH, None):
        other = asyncio.create_task(room.use_once(launch=Launch(8_192)))
        await room.stats.wait_for({"waiting": 1}, 5)
        assert not other.done()
        # The loaded model goes on serving those that want it as it is.
        await room.use_once()
    await other
    assert room.stats.loads == 2
    assert room.runners.loaded()[0][0].launch.num_ctx == 8_192


async def test_a_load_ends_with_the_request_it_was_for() -> None:
    room = Room(load_ms=3_600_000)
    first = asyncio.create_task(room.use_once())
    await room.stats.wait_for({"waiting": 1}, 5)
    first.cancel()
    await asyncio.wait([first])
    assert (room.stats.loads, room.stats.waiting) == (0, 0)


async def test_too_many_requests_waiting_for_a_load_are_refused() -> None:
    room = Room(load_ms=3_600_000, max_queue=1)
    first = asyncio.create_task(room.use_once())
    await room.stats.wait_for({"waiting": 1}, 5)
    with pytest.raises(Refusal) as refused:
        await room.use_once(EMBED)
    assert refused.value.status == 503
    assert refused.value.sentence == "server busy, please try again.  maximum pending requests exceeded"
    first.cancel()
    await asyncio.wait([first])


async def test_slots_are_given_in_the_order_of_arrival_and_returned_by_those_who_leave() -> None:
    room = Room(parallel=1)
    order: list[int] = []

    async def take(number: int) -> None:
        async with room.runners.use(CHAT, LAUNCH, None) as runner, room.runners.slot(runner):
            order.append(number)

    async with room.runners.use(CHAT, LAUNCH, None) as runner, room.runners.slot(runner):
        tasks = [asyncio.create_task(take(number)) for number in range(4)]
        await room.stats.wait_for({"waiting": 4, "in_flight": 1}, 5)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        assert room.stats.waiting == 3
    await asyncio.wait(tasks)
    assert order == [0, 2, 3]


async def test_an_embedding_model_has_one_slot() -> None:
    room = Room(parallel=4)
    async with room.runners.use(EMBED, LAUNCH, None) as runner, room.runners.slot(runner):
        assert runner.slots.locked()
