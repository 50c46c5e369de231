"""Going on with a trailing assistant message, and telling attempts apart."""

import pytest

from tests.unit.upstream.simulator.client import lines, pieces, said

QUESTION = {"role": "user", "content": "How do I bake bread?"}


def begun(text: str, question: dict = QUESTION) -> dict:
    return {"messages": [question, {"role": "assistant", "content": text}]}


@pytest.mark.parametrize("cut", [1, 10, 57, 100])
async def test_prefix_and_continuation_are_the_undisturbed_answer(simulated, cut: int) -> None:
    whole = await simulated.say("", messages=[QUESTION])
    rest = await simulated.say("", **begun(whole[:cut]))
    assert whole[:cut] + rest == whole


async def test_an_exact_number_of_pieces_holds_over_a_continuation(simulated) -> None:
    question = {"role": "user", "content": "[[tokens=200]]"}
    first = pieces(await simulated.chat("", messages=[question]))
    rest = pieces(await simulated.chat("", **begun("".join(first[:50]), question)))
    assert rest == first[50:]


async def test_a_finished_answer_has_nothing_more_to_say(simulated) -> None:
    whole = await simulated.say("", messages=[QUESTION])
    [done] = lines(await simulated.chat("", **begun(whole)))
    assert done["done_reason"] == "stop"


async def test_the_prefix_is_part_of_the_prompt(simulated) -> None:
    whole = lines(await simulated.chat("", messages=[QUESTION]))[-1]
    rest = lines(await simulated.chat("", **begun("Good question. With")))[-1]
    assert rest["prompt_eval_count"] > whole["prompt_eval_count"]


async def test_a_model_that_closes_the_turn_starts_over(simulated) -> None:
    whole = await simulated.say("", model="sim-closed", messages=[QUESTION])
    assert await simulated.say("", model="sim-closed", **begun(whole[:20])) == whole


async def test_a_thinking_model_goes_on_only_without_thinking(simulated) -> None:
    for think in ({}, {"think": True}):
        answer = await simulated.chat("", model="sim-think", **begun("Good"), **think)
        assert answer.status_code == 400
        assert "Assistant response prefill is incompatible with enable_thinking." in answer.json()["error"]
    whole = await simulated.say("", model="sim-think", think=False, messages=[QUESTION])
    rest = await simulated.say("", model="sim-think", think=False, **begun(whole[:20]))
    assert whole[:20] + rest == whole


async def test_two_trailing_messages_are_refused_by_a_model_with_its_own_template(simulated) -> None:
    messages = [QUESTION, *[{"role": "assistant", "content": "Good"}] * 2]
    answer = await simulated.chat("", model="sim-think", think=False, messages=messages)
    assert answer.status_code == 400
    assert "2 or more assistant messages" in answer.json()["error"]


async def test_generate_continues_raw_text(simulated) -> None:
    whole = await simulated.say("", messages=[QUESTION])
    prompt = f"<|im_start|>user\n{QUESTION['content']}<|im_end|>\n<|im_start|>assistant\n{whole[:30]}"
    body = {"model": "sim-chat", "prompt": prompt, "raw": True, "stream": False}
    [rest] = lines(await simulated.http.post("/api/generate", json=body))
    assert whole[:30] + rest["response"] == whole
    assert "context" not in rest


async def test_when_diverging_no_attempt_repeats_the_one_before(start) -> None:
    simulated = await start(diverge=True)
    answers = [await simulated.say("", messages=[QUESTION]) for _ in range(4)]
    assert len(set(answers)) == 4


async def test_when_diverging_a_continuation_goes_another_way(start) -> None:
    simulated, same = await start(diverge=True), await start()
    whole = await same.say("", messages=[QUESTION])
    rest = said(await simulated.chat("", **begun(whole[:30])))
    assert rest
    assert whole[:30] + rest != whole
