from dataclasses import replace
from typing import Any

import pytest

from chatserver.chat.resources import GenerationResource
from chatserver.errors import ContextTooLong, NotFound
from chatserver.generation.ids import MESSAGE, new_id
from chatserver.generation.position import Position
from chatserver.generation.states import Reason, Status
from chatserver.storage.lifecycle import Finish
from chatserver.upstream.simulator.vocabulary import load_vocabulary
from tests.unit.engine.talks import answered, asked
from tests.unit.works import MODEL, working

pytestmark = pytest.mark.asyncio(loop_scope="session")


def contents(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in body["messages"]]


async def test_a_turn_shows_the_model_its_branch_and_never_an_empty_answer(works) -> None:
    conversation = await works.converse(system="Be short.")
    await answered(works, conversation, "First?", "First.")
    await answered(works, conversation, "Second?", "")
    generation = await asked(works, conversation, "Third?", options={"temperature": 0.5})
    prompt = await works.parts.prompts.build(generation)
    assert contents(prompt.body) == [
        ("system", "Be short."),
        ("user", "First?"),
        ("assistant", "First."),
        ("user", "Second?"),
        ("user", "Third?"),
    ]
    assert prompt.report["left_out"] == 0


async def test_options_that_would_make_the_server_reload_are_the_same_for_everybody(works) -> None:
    conversation = await works.converse()
    generation = await asked(works, conversation, "Hello", options={"temperature": 0.5, "num_ctx": 1})
    body = (await works.parts.prompts.build(generation)).body
    assert body["options"] == {"temperature": 0.5, "num_ctx": 8192}
    assert (body["stream"], body["truncate"], body["shift"], body["keep_alive"]) == (True, False, False, "5m")
    assert "think" not in body


async def test_handed_in_work_passes_its_own_things_on_and_nothing_else(works) -> None:
    generation = await works.accept("Hello", think=False, format="json", tools=[], images=["x"], stream=False)
    body = (await works.parts.prompts.build(await works.record(generation))).body
    assert (body["think"], body["format"], body["tools"], body["stream"]) == (False, "json", [], True)
    assert "images" not in body


async def test_room_is_bounded_by_what_the_model_can_see_and_kept_for_the_answer(tmp_path) -> None:
    async with working(tmp_path, ollama__num_ctx=16384, generation__answer_reserve_tokens=1000) as works:
        prompts = works.parts.prompts
        assert await prompts.num_ctx("sim-think") == 16384
        assert await prompts.num_ctx("sim-chat") == 8192
        assert await prompts.num_ctx("sim-tiny") == 512
        assert await prompts.num_ctx("nobody-has-it") == 16384
        assert (prompts.room(16384, {}), prompts.room(512, {})) == (15384, 256)
        assert prompts.room(16384, {"num_predict": 4000}) == 12384


async def test_handed_in_work_that_cant_fit_is_refused_before_it_is_accepted(works) -> None:
    request = {"messages": [{"role": "user", "content": "a" * 3000}]}
    await works.parts.prompts.check_length(MODEL, request)
    with pytest.raises(ContextTooLong) as raised:
        await works.parts.prompts.check_length("sim-tiny", request)
    assert raised.value.facts == {"field": "messages", "limit": 256}


async def test_of_a_long_conversation_the_newest_that_fits_is_shown_and_the_rest_counted(works) -> None:
    conversation = await works.converse()
    for n in range(6):
        await answered(works, conversation, f"Question {n}?", "word " * 500)
    generation = await asked(works, conversation, "And now?")
    prompt = await works.parts.prompts.build(generation)
    report = prompt.report
    assert contents(prompt.body)[-1] == ("user", "And now?")
    assert report["tokens"]["history"] <= report["budget"]["history"] == 2000
    assert len(report["kept"]) + len(report["cut"]) + report["left_out"] == 13
    assert report["left_out"] == 8


async def test_rows_read_are_bounded_and_what_wasnt_read_is_counted(works) -> None:
    conversation = await works.converse()
    for n in range(40):
        await answered(works, conversation, f"{n}?", f"{n}.")
    generation = await asked(works, conversation, "Recap it all so far.")
    prompt = await works.parts.prompts.build(generation)
    # Sixty-four are read, the first being the answer's own place, the last one without its question.
    assert len(prompt.report["kept"]) == 63
    assert (prompt.report["left_out"], contents(prompt.body)[0]) == (18, ("user", "9?"))


async def test_an_answer_is_no_longer_than_what_the_prompt_leaves(works) -> None:
    conversation = await works.converse()
    generation = await asked(works, conversation, "Hello", options={"num_predict": 9000})
    prompt = await works.parts.prompts.build(generation)
    assert prompt.body["options"]["num_predict"] == 8192 - prompt.report["tokens"]["total"]
    generation = await asked(works, await works.converse(), "Hello", options={"num_predict": 90})
    assert (await works.parts.prompts.build(generation)).body["options"]["num_predict"] == 90


async def test_messages_are_counted_once_and_by_the_models_own_vocabulary(works) -> None:
    conversation = await works.converse(system="Be short.")
    await answered(works, conversation, "First?", "First, of course.")
    generation = await asked(works, conversation, "Second?")
    await works.parts.prompts.measures.of(MODEL)
    first = await works.parts.prompts.build(generation)
    assert first.report["exact"]
    # All of them, for they were put into the store directly.
    assert len(first.recounted) == 3
    count = load_vocabulary().count
    assert first.report["tokens"]["question"] == count("Second?")
    assert first.report["tokens"]["history"] == count("First?") + count("First, of course.")

    finish = Finish(
        generation_id=generation.id,
        epoch=1,
        status=Status.COMPLETED,
        reason=Reason.COMPLETED,
        answer="Second.",
        thinking=None,
        tool_calls=[],
        usage=None,
        timings=None,
        sha256="",
        final=Position(1, 3),
        error=None,
        context=None,
        now_ms=1,
        counted=await works.parts.prompts.count(MODEL, "Second."),
        recounted=first.recounted,
    )
    assert await works.parts.store.writer.submit(finish)
    second = await works.parts.prompts.build(await asked(works, conversation, "Third?"))
    assert len(second.recounted) == 1


async def test_a_turn_keeps_what_it_counted_and_what_the_model_counted(works) -> None:
    conversation = await works.converse()
    await works.parts.prompts.measures.of(MODEL)
    generation = await works.turn(conversation, "Tell me about the sea. [[tokens=5]]")
    await works.ended(generation)
    await works.idle()
    record = await works.record(generation)
    assert record.message is not None
    said = (await works.parts.store.messages.transcript(conversation.id, record.message, 9)).said
    count = load_vocabulary().count
    assert [one.counted.tokens for one in said if one.counted] == [count(one.content) for one in said]
    shown = GenerationResource.of(record)
    assert shown.usage is not None
    assert shown.context is not None
    assert shown.context["prompt_eval_count"] == shown.usage.prompt_tokens
    total = shown.context["tokens"]["total"]
    assert shown.context["difference"] == shown.usage.prompt_tokens - total


async def test_long_texts_are_counted_aside(works) -> None:
    generation = await works.accept("word " * 4000)
    report = (await works.parts.prompts.build(await works.record(generation))).report
    assert report["tokens"]["question"] == load_vocabulary().count("word " * 4000)


async def test_of_what_was_deleted_meanwhile_no_prompt_is_made(works) -> None:
    conversation = await works.converse()
    generation = await asked(works, conversation, "Hello")
    with pytest.raises(NotFound):
        await works.parts.prompts.build(replace(generation, message=new_id(MESSAGE)))
