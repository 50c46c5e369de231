import json
from collections.abc import Sequence

import pytest

from chatserver.upstream.simulator.messages import IMAGE_TOKENS, Message
from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.template import render
from chatserver.upstream.simulator.truncation import Prompt, Window, fit_messages, fit_text
from chatserver.upstream.simulator.vocabulary import load_vocabulary

count = load_vocabulary().count
SYSTEM = Message(role="system", content="Be brief.")
OLD = Message(role="user", content="My name is Ana. " + "This was long ago. " * 20)
QUESTION = Message(role="user", content="What is my name?")


def fit(messages: Sequence[Message], window: Window) -> Prompt:
    return fit_messages(messages, [], window, continues=True)


def length(*messages: Message) -> int:
    return count(render(messages, [], continues=True))


def test_what_fits_is_left_alone() -> None:
    prompt = fit([SYSTEM, OLD, QUESTION], Window(1_000))
    assert prompt.messages == [SYSTEM, OLD, QUESTION]
    assert prompt.tokens == length(SYSTEM, OLD, QUESTION)


def test_the_oldest_messages_are_dropped_but_never_system_or_the_last() -> None:
    needed = length(SYSTEM, QUESTION)
    prompt = fit([SYSTEM, OLD, OLD, QUESTION], Window(needed + 1))
    assert prompt.messages == [SYSTEM, QUESTION]
    assert prompt.tokens == needed


def test_no_more_is_dropped_than_must_be() -> None:
    small = Message(role="assistant", content="I see.")
    prompt = fit([SYSTEM, OLD, small, QUESTION], Window(length(SYSTEM, small, QUESTION) + 1))
    assert prompt.messages == [SYSTEM, small, QUESTION]


def test_a_prompt_that_just_fills_the_window_is_too_long() -> None:
    needed = length(SYSTEM, QUESTION)
    assert fit([SYSTEM, QUESTION], Window(needed + 1)).tokens == needed
    assert fit([SYSTEM, QUESTION], Window(needed)).tokens < needed


def test_what_can_not_be_dropped_loses_its_middle_down_to_half_the_window() -> None:
    long = Message(
        role="user", content="The code word is heron. " + "More and more words. " * 100 + "And the end?"
    )
    prompt = fit([long], Window(64))
    assert prompt.tokens == 64 // 2 + 2 == count(prompt.text)
    assert "heron" not in prompt.text
    assert prompt.messages[-1].content.endswith("And the end?")


def test_num_keep_decides_what_survives_at_the_beginning() -> None:
    long = Message(role="user", content="The code word is heron. " + "More and more words. " * 100)
    prompt = fit([long], Window(64, keep=20))
    assert "heron" in prompt.text
    assert prompt.tokens == 64 - (64 - 20) // 2


def test_without_truncation_a_long_prompt_is_refused_with_its_numbers() -> None:
    with pytest.raises(Refusal) as refused:
        fit([OLD, QUESTION], Window(64, truncate=False))
    assert refused.value.status == 400
    error = json.loads(refused.value.sentence)["error"]
    assert error["type"] == "exceed_context_size_error"
    assert (error["n_prompt_tokens"], error["n_ctx"]) == (length(OLD, QUESTION), 64)


def test_without_context_shift_a_long_prompt_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        fit([OLD], Window(64, shift=False))
    assert refused.value.status == 400
    assert refused.value.sentence.startswith(
        "the prompt is longer than the context length currently available"
    )


def test_pictures_count_and_are_never_cut() -> None:
    picture = Message(role="user", content="What is this?", images=["AAAA", "AAAA"])
    assert fit([picture], Window(4_096)).tokens == length(picture) + 2 * IMAGE_TOKENS
    with pytest.raises(Refusal):
        fit([picture], Window(1_024))


def test_pictures_of_dropped_messages_do_not_count() -> None:
    picture = Message(role="user", content="Look!", images=["AAAA"])
    assert fit([picture, QUESTION], Window(600)).messages == [QUESTION]


def test_raw_text_is_cut_like_rendered_text() -> None:
    prompt = fit_text("word " * 500, Window(64))
    assert prompt.tokens == 34
    assert fit_text("Just this", Window(64)).messages[0].content == "Just this"
