"""What /api/chat does over real HTTP."""

import base64
import json
import time

import pytest

from chatserver.upstream.simulator.messages import IMAGE_TOKENS
from chatserver.upstream.simulator.vocabulary import load_vocabulary
from tests.unit.upstream.simulator.client import lines, pieces, said

QUESTION = "How do I bake bread?"
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


async def test_an_answer_streams_as_lines_and_ends_with_a_done_line(simulated) -> None:
    answer = await simulated.chat(QUESTION)
    *tokens, done = lines(answer)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert all(list(line) == ["model", "created_at", "message", "done"] for line in tokens)
    assert all(line["message"]["role"] == "assistant" and not line["done"] for line in tokens)
    assert (done["done"], done["done_reason"], done["message"]["content"]) == (True, "stop", "")
    assert done["eval_count"] == len(tokens) > 10
    assert done["total_duration"] >= done["prompt_eval_duration"] + done["eval_duration"]
    assert "bake bread" in said(answer)


async def test_the_model_is_named_as_it_was_asked_for(simulated) -> None:
    assert lines(await simulated.chat("Hi", model="sim-chat"))[0]["model"] == "sim-chat"
    assert lines(await simulated.chat("Hi", model="sim-chat:latest"))[0]["model"] == "sim-chat:latest"


async def test_without_streaming_the_answer_is_one_json(simulated) -> None:
    streamed = await simulated.chat(QUESTION)
    [whole] = lines(await simulated.chat(QUESTION, stream=False))
    assert whole["message"]["content"] == said(streamed)
    assert (whole["done"], whole["done_reason"]) == (True, "stop")
    assert whole["eval_count"] == lines(streamed)[-1]["eval_count"]


async def test_the_prompt_is_counted_by_the_models_own_vocabulary(simulated) -> None:
    done = lines(await simulated.chat(QUESTION))[-1]
    rendered = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    assert done["prompt_eval_count"] == load_vocabulary().count(rendered)


async def test_the_rendered_prompt_can_be_seen(simulated) -> None:
    [shown] = lines(await simulated.chat("Hi", _debug_render_only=True))
    assert shown["_debug_info"]["rendered_template"].startswith("<|im_start|>user\nHi")


async def test_the_same_question_gets_the_same_answer_and_another_seed_may_not(start) -> None:
    simulators = [await start(seed=seed) for seed in (0, 0, 1, 2, 3, 4)]
    answers = [await simulator.say(QUESTION) for simulator in simulators]
    assert answers[0] == answers[1]
    assert len(set(answers)) > 1


async def test_the_number_of_pieces_can_be_set_exactly(simulated) -> None:
    assert len(pieces(await simulated.chat("Hello [[tokens=200]]"))) == 200


async def test_num_predict_cuts_the_answer_and_is_told(simulated) -> None:
    answer = await simulated.chat("[[tokens=200]]", options={"num_predict": 7})
    assert len(pieces(answer)) == 7
    assert lines(answer)[-1]["done_reason"] == "length"
    exact = await simulated.chat("[[tokens=7]]", options={"num_predict": 7})
    assert lines(exact)[-1]["done_reason"] == "stop"


async def test_an_answer_without_limit_ends_after_ten_windows(simulated) -> None:
    answer = await simulated.chat("[[tokens=9000]]", model="sim-tiny", options={"num_ctx": 64})
    assert lines(answer)[-1]["eval_count"] == 640


async def test_without_context_shift_the_window_ends_the_answer(simulated) -> None:
    done = lines(await simulated.chat("[[tokens=9000]]", model="sim-tiny", shift=False))[-1]
    assert (done["done_reason"], done["prompt_eval_count"] + done["eval_count"]) == ("length", 512)


async def test_a_stop_sequence_ends_the_answer(simulated) -> None:
    assert await simulated.say("Repeat: one two three", options={"stop": [" three"]}) == "one two"


@pytest.mark.parametrize(
    ("content", "options"), [("[[tokens=5]]", {"sim_stamp": True}), ("[[tokens=5]] [[stamp=1]]", {})]
)
async def test_stamped_pieces_tell_when_they_were_sent(simulated, content: str, options: dict) -> None:
    before = time.time_ns() // 1_000
    stamped = pieces(await simulated.chat(content, options=options))
    stamps = [int(text.split(" ", 1)[0]) for text in stamped]
    assert len(stamps) == 5
    assert all(before <= stamp <= time.time_ns() // 1_000 for stamp in stamps)


async def test_a_thinking_model_thinks_unless_it_is_told_not_to(simulated) -> None:
    unset = await simulated.chat(QUESTION, model="sim-think")
    off = await simulated.chat(QUESTION, model="sim-think", think=False)
    high = await simulated.chat(QUESTION, model="sim-think", think="high")
    assert pieces(unset, "thinking") == pieces(high, "thinking") != []
    assert pieces(off, "thinking") == []
    assert said(unset) == said(off)
    thinking = [bool(line["message"].get("thinking")) for line in lines(unset)]
    assert thinking == sorted(thinking, reverse=True)


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"think": True}, 400, '"sim-chat" does not support thinking'),
        ({"model": "sim-embed"}, 400, '"sim-embed" does not support chat'),
        ({"tools": [TOOL]}, 400, "registry.ollama.ai/library/sim-chat:latest does not support tools"),
        ({"model": "nope"}, 404, "model 'nope' not found"),
        ({"model": ""}, 400, "model is required"),
        ({"model": None}, 400, "model is required"),
        ({"options": {"num_ctx": "big"}}, 500, 'option "num_ctx" must be of type integer'),
    ],
)
async def test_what_a_model_can_not_do_is_refused(simulated, body: dict, status: int, sentence: str) -> None:
    answer = await simulated.chat("Hi", **body)
    assert (answer.status_code, answer.json()) == (status, {"error": sentence})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages": 5}'])
async def test_a_body_that_can_not_be_read_is_refused(simulated, body: bytes) -> None:
    answer = await simulated.http.post("/api/chat", content=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


async def test_tool_calls_come_whole_in_a_line_of_their_own(simulated) -> None:
    answer = await simulated.chat("What's the weather in Rome?", model="sim-tools", tools=[TOOL])
    calling, done = lines(answer)
    [call] = calling["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "get_weather", "arguments": {"city": "Rome"}}
    assert (done["done_reason"], "tool_calls" in done["message"]) == ("stop", False)


async def test_tool_calls_come_in_the_done_line_of_models_with_their_own_template(simulated) -> None:
    asked = {"model": "sim-think", "tools": [TOOL], "think": False}
    [done] = lines(await simulated.chat("What's the weather in Rome?", **asked))
    assert done["done"]
    assert done["message"]["tool_calls"][0]["function"]["arguments"] == {"city": "Rome"}
    [whole] = lines(await simulated.chat("What's the weather in Rome?", stream=False, **asked))
    assert whole["message"]["tool_calls"] == done["message"]["tool_calls"]


async def test_tools_that_nobody_asks_for_are_not_called(simulated) -> None:
    assert await simulated.say("Hello!", model="sim-tools", tools=[TOOL])


async def test_pictures_are_taken_and_counted(simulated) -> None:
    picture = base64.b64encode(b"not really a picture").decode()
    message = {"role": "user", "content": "What is this?"}
    plain = await simulated.chat("", messages=[message])
    seen = await simulated.chat("", messages=[{**message, "images": [picture, picture]}])
    counts = [lines(answer)[-1]["prompt_eval_count"] for answer in (plain, seen)]
    assert counts[1] - counts[0] == 2 * IMAGE_TOKENS
    assert "picture" in said(seen)


async def test_a_picture_must_be_plain_base64(simulated) -> None:
    message = {"role": "user", "content": "", "images": ["data:image/png;base64,AAAA"]}
    assert (await simulated.chat("", messages=[message])).status_code == 400


async def test_a_format_gives_json(simulated) -> None:
    assert "answer" in json.loads(await simulated.say("Hello", format="json"))
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    assert json.loads(await simulated.say("Hello", format=schema)) == {"n": 3}


async def test_facts_from_early_messages_are_known_until_they_are_cut_off(simulated) -> None:
    told = {"role": "user", "content": "My name is Joana."}
    filler = [
        {"role": role, "content": "Then many other things were said. " * 10}
        for role in ("assistant", "user") * 4
    ]
    question = {"role": "user", "content": "What is my name?"}
    short = await simulated.chat("", model="sim-tiny", messages=[told, *filler[:2], question])
    assert "Joana" in said(short)
    long = await simulated.chat("", model="sim-tiny", messages=[told, *filler, question])
    assert "don't know your name" in said(long)
    assert long.status_code == 200
    assert lines(long)[-1]["prompt_eval_count"] <= 512


async def test_instructions_survive_the_cut(simulated) -> None:
    messages = [{"role": "system", "content": "The user's name is Ana."}]
    messages += [{"role": "user", "content": "Many other things were said. " * 40}] * 3
    messages += [{"role": "user", "content": "What is my name?"}]
    assert "Ana" in await simulated.say("", model="sim-tiny", messages=messages)


async def test_one_message_that_is_too_long_loses_its_middle(simulated) -> None:
    done = lines(await simulated.chat("So many words. " * 300, model="sim-tiny"))[-1]
    assert done["prompt_eval_count"] == 512 // 2 + 2


async def test_without_truncation_a_long_prompt_is_refused(simulated) -> None:
    answer = await simulated.chat("So many words. " * 300, model="sim-tiny", truncate=False)
    assert answer.status_code == 400
    error = json.loads(answer.json()["error"])["error"]
    assert (error["type"], error["n_ctx"]) == ("exceed_context_size_error", 512)
    assert error["n_prompt_tokens"] > 512


async def test_without_context_shift_a_long_prompt_is_refused(simulated) -> None:
    answer = await simulated.chat("So many words. " * 300, model="sim-tiny", shift=False)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(
        "the prompt is longer than the context length currently available"
    )


async def test_the_first_token_takes_its_time_and_nothing_comes_before(start) -> None:
    simulated = await start(first_token_ms=80, rate=1_000)
    began = time.monotonic()
    async with simulated.streaming("[[tokens=5]]") as answer:
        assert time.monotonic() - began >= 0.08
        done = json.loads([line async for line in answer.aiter_lines()][-1])
    assert done["prompt_eval_duration"] >= 79_000_000


async def test_tokens_come_at_their_rate(start) -> None:
    simulated = await start(rate=200)
    done = lines(await simulated.chat("[[tokens=20]]"))[-1]
    # The done line is due one token after the last one; timers are good to a millisecond.
    assert done["eval_duration"] >= 20 / 200 * 1e9 - 2_000_000


async def test_several_tokens_due_at_once_stay_lines_of_their_own(start) -> None:
    simulated = await start(rate=100_000)
    assert len(pieces(await simulated.chat("[[tokens=3000]]"))) == 3_000
