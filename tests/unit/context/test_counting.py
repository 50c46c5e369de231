from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.counting import IMAGE_TOKENS, Estimate, Measure, Overhead
from tests.unit.properties import PROPERTY


def message(role: str) -> dict[str, str]:
    return {"role": role, "content": "Hi"}


MEASURE = Measure(Estimate(), Overhead())


def test_an_estimate_is_made_from_bytes_and_corrected_by_a_factor() -> None:
    assert Estimate().count("a" * 30) == 10
    # Scripts that need three bytes a character often need a token for each.
    assert Estimate().count("字" * 30) == 30
    assert Estimate(1.5).count("a" * 30) == 15
    assert Estimate().count("") == 0
    assert Estimate().count("a") == 1


def test_estimates_are_not_kept_since_their_factor_changes() -> None:
    assert Estimate().name is None
    assert not MEASURE.exact


def test_images_thoughts_and_calls_take_room_too() -> None:
    message = {"role": "user", "content": "a" * 30}
    assert MEASURE.message(message) == 10
    assert MEASURE.message({**message, "images": ["aGk=", "aGk="]}) == 10 + 2 * IMAGE_TOKENS
    assert MEASURE.message({**message, "thinking": "b" * 300}) == 110
    assert MEASURE.message({**message, "tool_calls": [{"arguments": {"text": "c" * 3000}}]}) > 1010
    assert MEASURE.message({"role": "assistant", "content": None, "images": None, "tool_calls": None}) == 0


def test_a_template_adds_to_each_message_and_once_to_a_prompt() -> None:
    overhead = Overhead(message=4, prompt=2.5)
    assert overhead.of([message("user"), message("assistant"), message("user")]) == 15
    # Neighbours of one role are one message to a template, except for tools.
    assert (
        overhead.of(
            [message("user"), message("user"), message("tool"), message("tool"), message("assistant")]
        )
        == 19
    )
    assert overhead.of([]) == 3


@PROPERTY
@given(st.text(), st.text())
def test_a_longer_text_never_counts_less(one, other) -> None:
    count = Estimate(0.7).count
    assert count(one) <= count(one + other) <= count(one) + count(other)
