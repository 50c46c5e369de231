"""Each fault as its client sees it."""

import asyncio
import json

import httpx
import pytest

from chatserver.upstream.simulator.faults import Fault
from tests.unit.upstream.simulator.client import lines


async def read(simulated, content: str) -> tuple[list[bytes], Exception | None]:
    """Read an answer to its end, or to the error that ended it."""
    received: list[bytes] = []
    try:
        async with simulated.streaming(content) as answer:
            received.extend([line.encode() async for line in answer.aiter_lines()])
    except httpx.TransportError as problem:
        return received, problem
    return received, None


async def test_refuse_closes_the_connection_before_any_response(simulated) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await simulated.chat("Hi [[fault=refuse]]")
    assert (await simulated.stats(faulted=1))["connections"] == 1


async def test_refuse_for_all_is_like_a_server_that_is_gone(start) -> None:
    simulated = await start(faults=(Fault("refuse"),))
    for path in ("/", "/api/tags", "/api/version"):
        with pytest.raises(httpx.RemoteProtocolError):
            await simulated.http.get(path)
    with pytest.raises(httpx.RemoteProtocolError):
        await simulated.http.post("/api/show", json={"model": "sim-chat"})
    assert (await simulated.stats())["requests"]["/api/tags"] == 1


async def test_slow_first_token_keeps_everybody_waiting(start) -> None:
    simulated = await start(slow_first_token_s=3_600)
    asking = asyncio.create_task(simulated.chat("[[fault=slow-first-token]]"))
    await simulated.stats(in_flight=1, tokens=0)
    asking.cancel()
    await simulated.stats(in_flight=0, cancelled=1, tokens=0)


async def test_stall_stops_in_mid_answer_and_keeps_the_connection(simulated) -> None:
    async with simulated.streaming("[[tokens=10]] [[fault=stall]]") as answer:
        received = answer.aiter_lines()
        for _ in range(5):
            assert not json.loads(await anext(received))["done"]
        await simulated.stats(in_flight=1, tokens=5)
    await simulated.stats(in_flight=0, cancelled=1)


async def test_cut_ends_cleanly_without_a_done_line(simulated) -> None:
    answer = await simulated.chat("[[tokens=10]] [[fault=cut]]")
    assert [line["done"] for line in lines(answer)] == [False] * 5
    await simulated.stats(faulted=1, served=0)


async def test_error_line_ends_a_begun_answer(simulated) -> None:
    answer = await simulated.chat("[[tokens=10]] [[fault=error-line]]")
    *tokens, last = lines(answer)
    assert (answer.status_code, len(tokens), list(last)) == (200, 5, ["error"])
    assert isinstance(last["error"], str)


@pytest.mark.parametrize(("fault", "status"), [("status-500", 500), ("status-503", 503)])
async def test_a_status_comes_instead_of_an_answer(simulated, fault: str, status: int) -> None:
    answer = await simulated.chat(f"[[fault={fault}]]")
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    await simulated.stats(faulted=1, refused=0)


async def test_a_full_server_uses_ollamas_words(simulated) -> None:
    answer = await simulated.chat("[[fault=status-503]]")
    assert answer.json()["error"] == "server busy, please try again.  maximum pending requests exceeded"


async def test_garbage_is_a_line_that_is_no_json_in_a_whole_answer(simulated) -> None:
    received, problem = await read(simulated, "[[tokens=10]] [[fault=garbage]]")
    assert problem is None
    assert len(received) == 12
    with pytest.raises(json.JSONDecodeError):
        json.loads(received[5])
    assert json.loads(received[-1])["done"]


async def test_repeat_ends_cleanly_after_31_equal_tokens(simulated) -> None:
    answer = await simulated.chat("[[tokens=10]] [[fault=repeat]]")
    tokens = [line["message"]["content"] for line in lines(answer)]
    assert tokens[5:] == [" the"] * 31
    assert not lines(answer)[-1]["done"]


async def test_drop_resets_the_connection_in_mid_answer(simulated) -> None:
    received, problem = await read(simulated, "[[tokens=10]] [[fault=drop]]")
    assert isinstance(problem, httpx.ReadError)
    assert len(received) <= 5
    await simulated.stats(faulted=1, in_flight=0)


async def test_endless_never_ends(simulated) -> None:
    async with simulated.streaming("[[tokens=10]] [[fault=endless]]", options={"num_predict": 5}) as answer:
        received = answer.aiter_lines()
        for _ in range(2_000):
            assert not json.loads(await anext(received))["done"]


async def test_an_endless_line_goes_on_and_is_never_a_line(simulated) -> None:
    async with simulated.streaming("[[tokens=10]] [[fault=endless-line]]") as answer:
        received = b""
        async for part in answer.aiter_bytes():
            received += part
            if received.endswith(b"x" * 1_000):
                break
    assert received.count(b"\n") == 5


@pytest.mark.parametrize(
    ("fault", "status"), [("error-line", 500), ("cut", 200), ("repeat", 200), ("garbage", 200)]
)
async def test_faults_of_answers_that_are_not_streamed(simulated, fault: str, status: int) -> None:
    answer = await simulated.chat(f"[[fault={fault}]]", stream=False)
    assert answer.status_code == status
    if fault == "garbage":
        with pytest.raises(json.JSONDecodeError):
            answer.json()
    elif status == 200:
        assert answer.json()["done"] is False


async def test_a_reset_of_an_answer_that_is_not_streamed(simulated) -> None:
    with pytest.raises(httpx.ReadError):
        await simulated.chat("[[fault=drop]]", stream=False)


async def test_only_the_last_message_of_the_person_asks_for_a_fault(simulated) -> None:
    messages = [
        {"role": "user", "content": "[[fault=status-500]]"},
        {"role": "assistant", "content": "Oh."},
        {"role": "user", "content": "Hi"},
    ]
    assert (await simulated.chat("", messages=messages)).status_code == 200


async def test_an_unknown_fault_is_refused_loudly(simulated) -> None:
    answer = await simulated.chat("[[fault=flood]]")
    assert answer.status_code == 400
    assert "there is no fault 'flood'" in answer.json()["error"]


async def test_a_rate_hits_that_share_of_the_requests(start) -> None:
    simulated = await start(faults=(Fault("status-500", 0.2),))
    statuses = [(await simulated.chat("[[tokens=1]]")).status_code for _ in range(50)]
    assert 3 <= statuses.count(500) <= 20
    assert statuses.count(200) == 50 - statuses.count(500)
