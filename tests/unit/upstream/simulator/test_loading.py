"""Loading, keeping and unloading models over real HTTP."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from tests.unit.upstream.simulator.client import lines


async def loaded(simulated) -> list[dict]:
    return (await simulated.http.get("/api/ps")).json()["models"]


async def test_no_messages_only_load_the_model(simulated) -> None:
    answer = await simulated.chat("", messages=[])
    [line] = lines(answer)
    del line["created_at"]
    message = {"role": "assistant", "content": ""}
    assert line == {"model": "sim-chat", "message": message, "done": True, "done_reason": "load"}
    assert answer.headers["content-type"].startswith("application/json")
    assert [model["name"] for model in await loaded(simulated)] == ["sim-chat:latest"]


async def test_no_messages_and_no_keep_alive_unload_it(simulated) -> None:
    await simulated.chat("Hi")
    [line] = lines(await simulated.chat("", messages=[], keep_alive=0))
    assert line["done_reason"] == "unload"
    assert await loaded(simulated) == []
    assert (await simulated.stats())["loads"] == 1


async def test_an_answer_without_keep_alive_leaves_nothing_loaded(simulated) -> None:
    await simulated.chat("Hi", keep_alive="0s")
    assert await loaded(simulated) == []


async def test_a_loaded_model_is_described_with_its_window_and_its_end(start) -> None:
    simulated = await start(keep_alive_s=600)
    await simulated.chat("Hi", options={"num_ctx": 4_000})
    [model] = await loaded(simulated)
    assert model["context_length"] == 4_000
    left = datetime.fromisoformat(model["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=590) < left <= timedelta(seconds=600)
    assert {
        "name",
        "model",
        "size",
        "digest",
        "details",
        "expires_at",
        "size_vram",
        "context_length",
    } == model.keys()


async def test_the_first_use_takes_the_time_of_loading(start) -> None:
    simulated = await start(load_ms=60)
    first = lines(await simulated.chat("Hi"))[-1]
    second = lines(await simulated.chat("Hi"))[-1]
    assert first["load_duration"] >= 59_000_000 > second["load_duration"]


async def test_nothing_is_sent_while_the_model_is_loaded(start) -> None:
    simulated = await start(load_ms=50)
    began = time.monotonic()
    async with simulated.streaming("Hi"):
        assert time.monotonic() - began >= 0.049


async def test_another_window_or_shift_reloads_the_model(simulated) -> None:
    for body in ({}, {"options": {"num_ctx": 4_096}}, {"options": {"num_batch": 512}}):
        await simulated.chat("Hi", **body)
    assert (await simulated.stats())["loads"] == 1
    await simulated.chat("Hi", options={"num_ctx": 8_192})
    # Bounded by the model, and so the same again.
    await simulated.chat("Hi", options={"num_ctx": 99_999})
    assert (await simulated.stats())["loads"] == 2
    await simulated.chat("Hi", options={"num_ctx": 8_192}, shift=False)
    assert (await simulated.stats())["loads"] == 3


async def test_a_reload_waits_for_the_answers_in_flight(simulated) -> None:
    async with simulated.streaming("Hi [[fault=stall]]"):
        other = asyncio.create_task(simulated.chat("Hi", options={"num_ctx": 8_192}))
        assert (await simulated.stats(waiting=1, in_flight=1))["loads"] == 1
        assert not other.done()
    assert (await other).status_code == 200
    assert (await simulated.stats())["loads"] == 2


async def test_a_full_queue_for_loading_is_refused_with_ollamas_sentence(start) -> None:
    simulated = await start(load_ms=3_600_000, max_queue=1)
    first = asyncio.create_task(simulated.chat("Hi"))
    await simulated.stats(waiting=1)
    refused = await simulated.chat("Hi", model="sim-closed")
    assert refused.status_code == 503
    assert refused.json() == {"error": "server busy, please try again.  maximum pending requests exceeded"}
    first.cancel()
    await simulated.stats(waiting=0, cancelled=1, loads=0)
