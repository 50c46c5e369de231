import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from chatserver.generation.log import TokenLog
from chatserver.generation.pieces import Channel, Delta, Fault, Piece, Started, ToolCalls
from chatserver.generation.states import Reason, Status
from chatserver.storage.lifecycle import Cancel
from chatserver.upstream.simulator import SimulatorOptions
from tests.unit.works import ALICE, MODEL, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWER = Channel.ANSWER
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def pieces_of(log: TokenLog) -> list[Piece]:
    return [piece for _, piece in log.since(0)]


async def test_a_run_begins_says_something_and_ends_as_it_is_stored(works) -> None:
    generation = await works.accept("Hello [[tokens=6]]")
    log = await works.ended(generation)
    record = await works.record(generation)
    started, *said, ending = pieces_of(log)
    assert started == Started(MODEL, 1, context=record.context)
    assert said == [Delta(ANSWER, record.result)]
    assert ending == log.ending
    assert log.ending is not None
    assert (log.ending.usage, log.ending.sha256) == (record.usage, record.sha256)
    assert record.usage is not None
    assert record.usage.completion_tokens == 6
    assert record.timings is not None
    assert record.timings["first_token_ms"] >= 0
    assert record.timings["model"]["total_duration"] > 0


async def test_thoughts_and_calls_are_kept_apart_from_the_answer(works) -> None:
    thinking = await works.accept("Why is the sky blue?", model="sim-think:latest")
    log = await works.ended(thinking)
    record = await works.record(thinking)
    assert (record.thinking, record.result) == (log.text(Channel.THINKING), log.text(ANSWER))
    assert record.thinking
    assert record.result
    await works.idle()
    calling = await works.accept("What is the weather in Paris?", model="sim-tools:latest", tools=[TOOL])
    log = await works.ended(calling)
    assert [type(piece) for piece in pieces_of(log)][1] is ToolCalls
    assert (await works.record(calling)).tool_calls == log.tool_calls() != []


async def test_the_name_of_the_model_is_the_same_live_and_from_the_store(works) -> None:
    generation = await works.accept(model="sim-chat")
    started = pieces_of(await works.ended(generation))[0]
    assert isinstance(started, Started)
    assert started.model == (await works.record(generation)).model == "sim-chat"


#: (what is said, more of the request, reason, code)
FAILURES = [
    ("[[fault=slow-first-token]]", {}, Reason.UPSTREAM_ERROR, "first_token_timeout"),
    ("[[fault=stall]] [[tokens=4]]", {}, Reason.UPSTREAM_ERROR, "stalled"),
    ("[[fault=refuse]]", {}, Reason.UPSTREAM_ERROR, "unreachable"),
    ("[[fault=status-500]]", {}, Reason.UPSTREAM_ERROR, "upstream_failed"),
    ("[[fault=status-503]]", {}, Reason.UPSTREAM_ERROR, "upstream_busy"),
    ("Hello", {"model": "nobody-has-it"}, Reason.UPSTREAM_ERROR, "model_not_found"),
    ("Hello", {"think": True}, Reason.UPSTREAM_ERROR, "bad_request"),
    ("[[fault=error-line]] [[tokens=4]]", {}, Reason.UPSTREAM_ERROR, "upstream_failed"),
    ("[[fault=garbage]] [[tokens=4]]", {}, Reason.UPSTREAM_ERROR, "bad_upstream_data"),
    ("[[fault=cut]] [[tokens=4]]", {}, Reason.UPSTREAM_TRUNCATED, "no_done"),
    ("[[fault=repeat]] [[tokens=4]]", {}, Reason.UPSTREAM_TRUNCATED, "no_done"),
    ("[[fault=drop]] [[tokens=4]]", {}, Reason.UPSTREAM_TRUNCATED, "no_done"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hasty(tmp_path_factory) -> AsyncIterator[Works]:
    async with working(
        tmp_path_factory.mktemp("hasty"),
        ollama__slots=1,
        ollama__first_token_timeout_s=0.06,
        ollama__stall_timeout_s=0.05,
        generation__retry_first_delay_s=0,
        generation__max_text_bytes=2048,
    ) as works:
        yield works


@pytest.mark.parametrize(("said", "more", "reason", "code"), FAILURES, ids=lambda value: str(value)[:30])
async def test_what_the_model_server_does_to_it_is_told_by_name(hasty, said, more, reason, code) -> None:
    generation = await hasty.accept(said, **more)
    log = await hasty.ended(generation)
    record = await hasty.record(generation)
    assert log.ending is not None
    assert log.ending.error is not None
    assert (log.ending.reason, log.ending.error.code) == (reason, code)
    assert (record.status, record.reason, record.error) == (Status.FAILED, reason, log.ending.error)
    # What was said until then is kept.
    assert record.result == log.text(ANSWER)
    await hasty.idle()


async def test_an_answer_that_never_ends_is_ended_at_our_own_bound(hasty) -> None:
    generation = await hasty.accept("[[fault=endless]]")
    log = await hasty.ended(generation)
    assert log.ending is not None
    assert (log.ending.reason, log.ending.error) == (Reason.LENGTH, None)
    assert 1024 < len(log.text(ANSWER).encode()) <= 2048
    assert (await hasty.record(generation)).status is Status.COMPLETED
    await hasty.stats(in_flight=0)


async def test_calls_count_for_the_bound_too(hasty) -> None:
    text = "x" * 3000
    generation = await hasty.accept(f"What is the weather in {text}?", model="sim-tools:latest", tools=[TOOL])
    log = await hasty.ended(generation)
    assert log.ending is not None
    assert len(str(log.tool_calls())) <= 2048


async def test_an_answer_that_takes_too_long_is_ended_with_what_it_has(tmp_path) -> None:
    async with working(tmp_path, SimulatorOptions(rate=100), generation__max_duration_s=0.04) as works:
        generation = await works.accept("[[fault=endless]]")
        log = await works.ended(generation)
        assert log.ending is not None
        assert log.ending.reason is Reason.LENGTH
        assert log.text(ANSWER)
        await works.stats(in_flight=0)


async def test_a_model_that_stops_at_its_own_bound_says_so(works) -> None:
    generation = await works.accept("[[tokens=50]]", options={"num_predict": 3})
    log = await works.ended(generation)
    assert log.ending is not None
    assert log.ending.reason is Reason.LENGTH
    assert log.ending.usage is not None
    assert log.ending.usage.completion_tokens == 3


async def test_work_that_no_longer_fits_is_refused_by_name_when_it_runs(works) -> None:
    generation = await works.accept("word " * 10_000)
    log = await works.ended(generation)
    assert log.ending is not None
    assert log.ending.reason is Reason.INTERRUPTED
    assert log.ending.error is not None
    assert log.ending.error.code == "context_length"
    assert (await works.record(generation)).status is Status.FAILED


async def test_a_failure_of_ours_is_told_without_its_details(works) -> None:
    with capture_logs() as lines:
        # Nothing that is accepted looks like this.
        generation = await works.accept(messages=[{"content": 7, "images": 7}])
        log = await works.ended(generation)
    assert "run_failed" in [line["event"] for line in lines]
    assert log.ending is not None
    assert log.ending.reason is Reason.INTERRUPTED
    assert log.ending.error == Fault("internal_error", "The server failed while this answer was being made.")


async def test_the_end_is_shown_only_when_the_store_has_it(tmp_path) -> None:
    async with working(tmp_path) as works:
        generation = await works.accept("[[fault=stall]] [[tokens=8]]")
        await works.answering(generation)
        async with works.store_away():
            works.engine.cancel(generation)
            await works.stats(in_flight=0)
            await asyncio.sleep(0.03)
            assert not works.feed(generation).log.ended
            assert works.engine.counts()[Status.RUNNING] == 1
        log = await works.ended(generation)
        assert log.ending is not None
        assert log.ending.reason is (await works.record(generation)).reason is Reason.CANCELLED


async def test_a_cancel_while_the_end_is_being_stored_comes_too_late(works) -> None:
    generation = await works.accept("[[tokens=4]]")
    async with works.writer_held():
        await works.stats(in_flight=0)
        await works.answering(generation)
        works.engine.cancel(generation)
    log = await works.ended(generation)
    assert log.ending is not None
    assert log.ending.reason is (await works.record(generation)).reason


async def test_a_claim_waits_for_the_store_and_a_cancel_meanwhile_counts(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        running, waiting = await works.accept("[[fault=stall]]"), await works.accept()
        async with works.store_away():
            works.engine.cancel(running)
            works.engine.cancel(waiting)
            await asyncio.sleep(0.03)
            assert not works.feed(waiting).log.ended
        for each in (running, waiting):
            log = await works.ended(each)
            assert log.ending is not None
            assert log.ending.reason is (await works.record(each)).reason is Reason.CANCELLED


async def test_a_cancel_that_is_only_on_disk_is_found_by_whoever_claims(works) -> None:
    running, waiting = await works.accept("[[fault=stall]]"), await works.accept()
    await works.parts.store.writer.submit(Cancel(waiting, ALICE, 0))
    works.engine.cancel(running)
    log = await works.ended(waiting)
    assert log.ending is not None
    assert log.ending.reason is Reason.CANCELLED
    assert [type(piece).__name__ for piece in pieces_of(log)] == ["Ending"]


async def test_a_conversation_that_can_not_be_read_for_a_moment_costs_a_moment(tmp_path) -> None:
    async with working(tmp_path) as works:
        conversation = await works.converse()
        async with works.readers_busy():
            generation = await works.turn(conversation)
            await asyncio.sleep(0.05)
            assert works.feed(generation).log.top == 0
        log = await works.ended(generation)
        assert log.ending is not None
        assert log.ending.reason is Reason.COMPLETED
