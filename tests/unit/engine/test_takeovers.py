"""One instance dies in the middle of an answer, and another brings it to its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chatserver.generation.log import text_sha256
from chatserver.generation.pieces import Channel, Reset, Started
from chatserver.generation.states import Lane, Reason, Status
from chatserver.storage.instances import HandOver
from chatserver.storage.records import Generation
from chatserver.upstream.simulator import SimulatorOptions
from tests.unit.engine.pair import Pair, Reader, pair, refusing_beginnings
from tests.unit.works import Works

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "Write 60 words about the sea."
CLOSED, THINKING, TOOLS = "sim-closed:latest", "sim-think:latest", "sim-tools:latest"
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


async def undisturbed(both: Pair, question: str = QUESTION, **request) -> Generation:
    generation = await both.first.accept(question, **request)
    await both.first.ended(generation)
    return await both.first.record(generation)


@asynccontextmanager
async def begun(both: Pair, question: str = QUESTION, **request) -> AsyncIterator[tuple[str, Reader]]:
    """Have the first one begin an answer, which its model stops in the middle of; one reads it elsewhere."""
    await both.spoil("stall")
    generation = await both.first.accept(question, **request)
    with Reader(await both.read_at(both.second, generation)) as reader:
        await reader.until(lambda reader: bool(reader.text or reader.thoughts))
        yield generation, reader


async def taken_over(both: Pair, question: str = QUESTION, **request) -> tuple[Generation, Reader]:
    """Have the first one begin an answer and die, and the second one end it."""
    async with begun(both, question, **request) as (generation, reader):
        await both.dies(both.first)
        await both.spoil()
        await both.takes(both.second, generation)
        await reader.until_end()
        return await checked(both, generation, reader), reader


async def checked(both: Pair, generation: str, reader: Reader) -> Generation:
    """What the reader has seen is what is stored, and hashes as was said."""
    record = await both.second.record(generation)
    assert (record.result, record.thinking or "") == (reader.text, reader.thoughts)
    assert reader.ending is not None
    assert record.sha256 == reader.ending.sha256 == text_sha256(reader.text)
    assert (record.usage, record.reason) == (reader.ending.usage, reader.ending.reason)
    return record


async def handed_over(both: Pair, generation: str, leaving: Works, taking: Works, reader: Reader) -> None:
    await both.stops(leaving)
    await leaving.parts.store.writer.submit(HandOver(generation, leaving.engine.owner))
    reader.follow(await both.read_at(taking, generation))
    await both.takes(taking, generation)


async def resets(both: Pair, generation: str) -> int:
    return len([piece for piece in await both.shared(generation) if isinstance(piece, Reset)])


def counted(works: Works, how: str) -> float:
    registry = works.parts.metrics.registry
    return registry.get_sample_value("chatserver_generations_taken_over_total", {"how": how}) or 0


async def test_a_model_that_can_goes_on_as_if_nothing_had_happened(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(continues=True)
        whole = await undisturbed(both)
        record, reader = await taken_over(both)
        assert (reader.text, record.usage) == (whole.result, whole.usage)
        assert [started.attempt for started in reader.started] == [1]
        assert (reader.resets, await resets(both, record.id)) == (0, 0)
        assert (record.status, record.context) == (Status.COMPLETED, reader.started[0].context)
        assert (counted(both.second, "continued"), counted(both.second, "afresh")) == (1, 0)


async def test_in_a_conversation_it_is_the_same(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(continues=True)
        conversation = await both.first.converse()
        await both.first.ended(await both.first.turn(conversation, QUESTION))
        await both.spoil("stall")
        generation = await both.first.turn(conversation, "Write 80 words about the moon.")
        with Reader(await both.read_at(both.second, generation)) as reader:
            await reader.until(lambda reader: bool(reader.text))
            await both.dies(both.first)
            await both.spoil()
            await both.takes(both.second, generation)
            await reader.until_end()
        await checked(both, generation, reader)
        assert (len(reader.text.split()), reader.resets) == (80, 0)


async def test_a_model_that_can_not_makes_the_whole_anew(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(CLOSED, continues=False)
        whole = await undisturbed(both, model=CLOSED)
        record, reader = await taken_over(both, model=CLOSED)
        assert (reader.text, record.usage) == (whole.result, whole.usage)
        assert [started.attempt for started in reader.started] == [2]
        assert (reader.resets, await resets(both, record.id)) == (1, 1)
        assert (counted(both.second, "continued"), counted(both.second, "afresh")) == (0, 1)


async def test_what_nobody_has_found_out_is_not_tried(tmp_path) -> None:
    async with pair(tmp_path) as both:
        record, reader = await taken_over(both)
        assert (record.status, reader.resets) == (Status.COMPLETED, 1)


async def test_words_that_differ_are_joined_on_all_the_same(tmp_path) -> None:
    async with pair(tmp_path, SimulatorOptions(diverge=True)) as both:
        await both.know(continues=True)
        async with begun(both) as (generation, reader):
            before = reader.text
            await both.dies(both.first)
            await both.spoil()
            await both.takes(both.second, generation)
            await reader.until_end()
            await checked(both, generation, reader)
        assert reader.text.startswith(before)
        assert len(reader.text) > len(before)
        assert reader.resets == 0


async def test_of_an_answer_that_may_have_so_many_tokens_only_the_rest_is_asked_for(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(continues=True)
        limit = {"num_predict": 30}
        whole = await undisturbed(both, options=limit)
        record, reader = await taken_over(both, options=limit)
        assert (reader.text, record.usage, record.reason) == (whole.result, whole.usage, Reason.LENGTH)
        assert reader.resets == 0


async def test_an_answer_that_has_all_its_tokens_already_only_ends(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(continues=True)
        record, reader = await taken_over(both, options={"num_predict": 1})
        assert (record.reason, record.usage, reader.resets) == (Reason.LENGTH, None, 0)
        assert (await both.first.stats())["requests"]["/api/chat"] == 1


async def test_thoughts_are_kept_and_not_thought_again(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(THINKING, continues=True)
        question = "Write 300 words about the sea."
        whole = await undisturbed(both, question, model=THINKING)
        async with begun(both, question, model=THINKING) as (generation, reader):
            await reader.until(lambda reader: bool(reader.text))
            await both.dies(both.first)
            await both.spoil()
            await both.takes(both.second, generation)
            await reader.until_end()
            record = await checked(both, generation, reader)
        assert whole.thinking
        assert (record.result, record.thinking, record.usage) == (whole.result, whole.thinking, whole.usage)
        assert reader.resets == 0


async def test_a_thought_that_is_not_finished_is_thought_anew(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(THINKING, continues=True)
        record, reader = await taken_over(both, "Say: hi", model=THINKING)
        assert record.thinking
        assert reader.resets == 1


@pytest.mark.parametrize("more", [{"format": "json"}, {"tools": [TOOL]}], ids=["form", "tools"])
async def test_an_answer_that_is_more_than_text_is_made_anew(tmp_path, more) -> None:
    async with pair(tmp_path) as both:
        await both.know(TOOLS, continues=True)
        _, reader = await taken_over(both, model=TOOLS, **more)
        assert reader.resets == 1


async def test_beginning_and_rest_stay_within_the_context(tmp_path) -> None:
    async with pair(tmp_path) as both:
        tiny = "sim-tiny:latest"
        await both.know(tiny, continues=True)
        record, reader = await taken_over(both, "[[tokens=1200]]", model=tiny)
        assert (record.reason, reader.resets) == (Reason.LENGTH, 0)
        assert record.usage is not None
        # Up to a token or two that the seam makes of one.
        assert 508 <= record.usage.prompt_tokens + record.usage.completion_tokens <= 514


async def test_the_bound_on_the_text_counts_what_there_was(tmp_path) -> None:
    async with pair(tmp_path, generation__max_text_bytes=1024) as both:
        await both.know(continues=True)
        async with begun(both, "[[tokens=360]]") as (generation, reader):
            await reader.until(lambda reader: len(reader.text) > 300)
            await both.dies(both.first)
            await both.spoil()
            await both.takes(both.second, generation)
            await reader.until_end()
            record = await checked(both, generation, reader)
        assert (record.reason, reader.resets) == (Reason.LENGTH, 0)
        # All that comes at once is taken or left.
        assert 300 < len(reader.text.encode()) <= 1024


async def test_an_owner_that_only_seemed_dead_stops_and_its_readers_see_the_same(tmp_path) -> None:
    async with pair(tmp_path, SimulatorOptions(rate=400)) as both:
        await both.know(continues=True)
        generation = await both.first.accept("[[tokens=200]]")
        with (
            Reader(both.first.feed(generation)) as here,
            Reader(await both.read_at(both.second, generation)) as there,
        ):
            await there.until(lambda reader: bool(reader.text))
            await both.takes(both.second, generation)
            await there.until_end()
            await here.until_end()
        await both.first.stats(in_flight=0)
        assert here.text == there.text
        assert there.resets == 0
        record = await checked(both, generation, here)
        assert record.usage is not None
        # What was there is counted anew as one text, which has fewer tokens than its pieces had.
        assert 180 <= record.usage.completion_tokens <= 202


async def test_an_answer_whose_attempts_are_spent_is_kept_as_far_as_it_came(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(continues=True)
        whole = await undisturbed(both)
        async with begun(both) as (generation, reader):
            for dying, taking in ((both.first, both.second), (both.second, both.first)):
                await both.dies(dying)
                reader.follow(await both.read_at(taking, generation))
                await both.takes(taking, generation)
                await reader.until_more()
            await both.dies(both.first)
            reader.follow(await both.read_at(both.second, generation))
            await both.takes(both.second, generation)
            await reader.until_end()
            record = await checked(both, generation, reader)
        assert (record.status, record.reason, record.attempts) == (Status.FAILED, Reason.INTERRUPTED, 3)
        assert whole.result is not None
        assert whole.result.startswith(reader.text)
        assert (reader.resets, [started.attempt for started in reader.started]) == (0, [1])


async def test_hand_overs_are_not_counted(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(continues=True)
        whole = await undisturbed(both)
        async with begun(both) as (generation, reader):
            for leaving, taking in ((both.first, both.second), (both.second, both.first)) * 2:
                await handed_over(both, generation, leaving, taking, reader)
                await reader.until_more()
            await both.spoil()
            await handed_over(both, generation, both.first, both.second, reader)
            await reader.until_end()
            record = await checked(both, generation, reader)
        assert (record.result, record.usage, record.attempts) == (whole.result, whole.usage, 1)
        assert reader.resets == 0


async def test_what_is_saved_after_a_takeover_is_the_whole_once(tmp_path) -> None:
    async with pair(tmp_path) as both:
        await both.know(continues=True)
        async with begun(both) as (generation, reader):
            await both.first.parts.checkpoints.save()
            for dying, taking in ((both.first, both.second), (both.second, both.first)):
                await both.dies(dying)
                reader.follow(await both.read_at(taking, generation))
                await both.takes(taking, generation)
                await reader.until_more()
                for _ in range(2):
                    text = taking.feed(generation).log.text(Channel.ANSWER)
                    await taking.parts.checkpoints.save()
                    saved = await taking.parts.store.generations.text_so_far(generation)
                    assert saved is not None
                    assert saved.answer.startswith(text)
                    assert taking.feed(generation).log.text(Channel.ANSWER).startswith(saved.answer)


async def test_work_that_nobody_watches_begins_anew_when_its_rest_fails(tmp_path) -> None:
    async with pair(tmp_path, generation__retry_first_delay_s=0, generation__attempts=99) as both:
        await both.know(continues=True)
        async with begun(both, lane=Lane.BACKGROUND) as (generation, reader):
            await both.dies(both.first)
            await both.spoil("cut")
            await both.takes(both.second, generation)
            await reader.until(lambda reader: reader.resets > 0)
            await both.spoil()
            await reader.until_end()
            record = await checked(both, generation, reader)
        assert record.status is Status.COMPLETED
        starts = [piece.attempt for piece in await both.shared(generation) if isinstance(piece, Started)]
        assert starts[:2] == [1, 3]


async def test_a_server_that_refuses_beginnings_makes_the_whole_anew(tmp_path) -> None:
    async with pair(tmp_path, way=refusing_beginnings) as both:
        await both.know(continues=True)
        whole = await undisturbed(both)
        async with begun(both) as (generation, reader):
            await both.dies(both.first)
            await both.spoil()
            await both.takes(both.second, generation)
            await reader.until_end()
            record = await checked(both, generation, reader)
        assert (record.result, reader.resets) == (whole.result, 1)
