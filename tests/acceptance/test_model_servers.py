"""What a model server does to an answer: each way of failing ends it once, with its own reason and code."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from chatserver.upstream.simulator.faults import FAULTS
from tests.harness.asking import WAYS
from tests.harness.client import Client
from tests.harness.readers import TRANSPORTS, by_sse, read_whole
from tests.harness.received import Received
from tests.harness.service import Service, module_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

_MOST_BYTES = 4096
#: Seconds that a model server may be silent, and what everything may take besides on a busy machine.
_SILENCE_S = 0.5
_SLACK_S = 3.0
service = module_service(
    {
        "ollama.slots": 8,
        "ollama.first_token_timeout_s": _SILENCE_S,
        "ollama.stall_timeout_s": _SILENCE_S,
        "generation.max_text_bytes": _MOST_BYTES,
        "generation.retry_first_delay_s": 0.05,
        "generation.attempts": 3,
    },
    "--rate",
    "2000",
    "--parallel",
    "8",
)

#: The fault; whether text comes before the end; how it has to end; the seconds of silence before that.
ENDINGS = [
    ("refuse", False, "upstream_error", "unreachable", 0),
    ("slow-first-token", False, "upstream_error", "first_token_timeout", _SILENCE_S),
    ("stall", True, "upstream_error", "stalled", _SILENCE_S),
    ("endless-line", True, "upstream_error", "stalled", _SILENCE_S),
    ("status-500", False, "upstream_error", "upstream_failed", 0),
    ("status-503", False, "upstream_error", "upstream_busy", 0),
    ("error-line", True, "upstream_error", "upstream_failed", 0),
    ("garbage", True, "upstream_error", "bad_upstream_data", 0),
    ("cut", True, "upstream_truncated", "no_done", 0),
    ("repeat", True, "upstream_truncated", "no_done", 0),
    ("drop", True, "upstream_truncated", "no_done", 0),
    # No fault that the simulator knows, so that it refuses the request.
    ("nonsense", False, "upstream_error", "bad_request", 0),
]
each_ending = pytest.mark.parametrize(("fault", "text", "reason", "code", "silence"), ENDINGS)


def _fails(fault: str) -> str:
    return f"Tell me. [[tokens=40]] [[fault={fault}]]"


async def _check_ended(client: Client, received: Received, status: str, reason: str, code: str) -> None:
    """It ended once and for all, everywhere in the same way."""
    assert received.end is not None
    assert (received.end["reason"], received.end["error"]["code"]) == (reason, code)
    assert received.end["error"]["detail"]
    kept = await client.generation(received.generation)
    assert (kept["status"], kept["reason"], kept["error"]) == (status, reason, received.end["error"])
    assert kept["result"] == received.answer
    for transport in TRANSPORTS:
        again = await read_whole(client, received.generation, transport)
        assert (again.answer, again.end) == (received.answer, received.end)


async def test_every_fault_is_in_the_table() -> None:
    assert {fault for fault, *_ in ENDINGS} - {"nonsense"} | {"endless"} == FAULTS.keys()


async def _read_in_every_way(client: Client, content: str, **more: str) -> Sequence[Received]:
    """Ask once for each way of reading; all read from the first frame to the end."""
    async with asyncio.TaskGroup() as group:
        readings = [group.create_task(way(client, content, **more)) for way in WAYS.values()]
    return [reading.result() for reading in readings]


@each_ending
async def test_a_turn_ends_once_with_the_true_reason_in_time_however_it_is_read(
    *, service: Service, client: Client, fault: str, text: bool, reason: str, code: str, silence: float
) -> None:
    asked = await service.asked()
    began = time.monotonic()
    readings = await _read_in_every_way(client, _fails(fault))
    assert silence <= time.monotonic() - began < silence + _SLACK_S
    for received in readings:
        assert bool(received.answer) == text
        assert received.resets == []
        await _check_ended(client, received, "failed", reason, code)
    # Somebody waits for it, so it is not tried again.
    assert await service.asked() == asked + len(WAYS)


@each_ending
async def test_handed_in_work_is_tried_again_and_dead_after_three_attempts(
    *, service: Service, client: Client, fault: str, text: bool, reason: str, code: str, silence: float
) -> None:
    asked = await service.asked()
    began = time.monotonic()
    received = await read_whole(client, await client.hand_in(_fails(fault)))
    assert time.monotonic() - began < 3 * silence + _SLACK_S
    assert bool(received.answer) == text
    if code == "bad_request":
        # It would be refused again and again.
        attempts, status = 1, "failed"
    else:
        attempts, status = 3, "dead"
    assert received.resets == ["attempt_failed"] * (attempts - 1)
    assert received.started is not None
    assert received.started["attempt"] == attempts
    await _check_ended(client, received, status, reason, code)
    assert (await client.generation(received.generation))["attempts"] == attempts
    assert await service.asked() == asked + attempts


async def test_the_text_so_far_is_the_message_of_a_turn_that_failed(client: Client) -> None:
    conversation = await client.begin()
    sent = await client.send(conversation, _fails("cut"))
    received = await read_whole(client, sent["generation"]["id"])
    assert received.answer
    assert [message["content"] for message in await client.messages(conversation)] == [
        _fails("cut"),
        received.answer,
    ]


async def test_a_model_that_is_not_there_is_told_however_it_is_read(client: Client) -> None:
    for received in await _read_in_every_way(client, "Hi.", model="no-such-model"):
        await _check_ended(client, received, "failed", "upstream_error", "model_not_found")


@pytest.mark.parametrize("lane", ["interactive", "background"])
async def test_a_model_that_is_not_there_is_told_and_not_asked_for_again(
    service: Service, client: Client, lane: str
) -> None:
    asked = await service.asked()
    received = await read_whole(client, await client.hand_in("Hi.", model="no-such-model", priority=lane))
    await _check_ended(client, received, "failed", "upstream_error", "model_not_found")
    assert await service.asked() == asked + 1


@pytest.mark.parametrize("lane", ["interactive", "background"])
async def test_an_answer_without_an_end_is_ended_at_our_bound(
    service: Service, client: Client, lane: str
) -> None:
    before = await service.seen(in_flight=0)
    received = await read_whole(client, await client.hand_in(_fails("endless"), priority=lane))
    assert received.end is not None
    assert (received.end["reason"], received.end["error"]) == ("length", None)
    assert _MOST_BYTES / 2 < len(received.answer.encode()) <= _MOST_BYTES
    kept = await client.generation(received.generation)
    assert (kept["status"], kept["reason"], kept["result"]) == ("completed", "length", received.answer)
    # The model is told to stop.
    await service.seen(in_flight=0, cancelled=before["cancelled"] + 1)


async def test_an_answer_without_an_end_ends_once_however_it_is_read(client: Client) -> None:
    for received in await _read_in_every_way(client, _fails("endless")):
        assert received.end is not None
        assert (received.end["reason"], received.end["error"]) == ("length", None)


async def test_a_model_that_reaches_its_own_bound_says_so(client: Client) -> None:
    generation = await client.ask("At length. [[tokens=100]]", options={"num_predict": 5})
    received = await read_whole(client, generation, by_sse)
    assert received.end is not None
    assert (received.end["reason"], received.end["usage"]["completion_tokens"]) == ("length", 5)
