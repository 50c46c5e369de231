import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.window import estimate, newest_that_fit, whole
from chatserver.errors import ContextTooLong
from tests.unit.properties import PROPERTY

TEXTS = st.text(max_size=60)
TURNS = st.lists(TEXTS.map(lambda text: {"role": "user", "content": text}), max_size=12)


def turn(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def test_a_message_takes_what_its_bytes_suggest_and_what_a_template_puts_around_it() -> None:
    assert estimate(turn("")) == 8
    assert estimate(turn("a" * 30)) == 18
    # Scripts that need three bytes a character often need a token for each.
    assert estimate(turn("字" * 30)) == 38


def test_images_thoughts_and_calls_take_room_too() -> None:
    text = estimate(turn("a" * 30))
    assert estimate({**turn("a" * 30), "images": ["aGk=", "aGk="]}) == text + 2 * 768
    assert estimate({**turn("a" * 30), "thinking": "b" * 300}) == text + 100
    assert estimate({**turn("a" * 30), "tool_calls": [{"arguments": {"text": "c" * 3000}}]}) > text + 1000


def test_a_message_without_text_is_no_obstacle() -> None:
    assert estimate({"role": "assistant", "content": None, "images": None, "tool_calls": None}) == 8


@PROPERTY
@given(st.none() | TEXTS, TURNS.filter(bool), st.integers(1, 300))
def test_the_newest_messages_that_fit_are_kept_in_order_and_the_question_always(
    system, newest_first, budget
) -> None:
    window = newest_that_fit(system, newest_first, budget)
    head = [{"role": "system", "content": system}] if system else []
    kept = window.messages[len(head) :]

    assert window.messages[: len(head)] == head
    assert kept == list(reversed(newest_first[: len(kept)]))
    assert len(kept) >= 1
    if len(kept) > 1:
        assert sum(map(estimate, window.messages)) <= budget
    if len(kept) < len(newest_first):
        assert sum(map(estimate, [*window.messages, newest_first[len(kept)]])) > budget
    assert window.report == {
        "kept": len(window.messages),
        "left_out": len(newest_first) - len(kept),
        "tokens": sum(map(estimate, window.messages)),
        "exact": False,
        "budget": budget,
    }


@PROPERTY
@given(TURNS, st.integers(1, 300))
def test_work_that_is_handed_in_is_shown_whole_or_refused(messages, budget) -> None:
    needed = sum(map(estimate, messages))
    if needed <= budget:
        window = whole(messages, budget)
        assert window.messages == messages
        assert (window.report["kept"], window.report["left_out"]) == (len(messages), 0)
        return
    with pytest.raises(ContextTooLong) as raised:
        whole(messages, budget)
    assert raised.value.facts == {"field": "messages", "limit": budget}
    assert f"about {needed} tokens" in raised.value.detail
