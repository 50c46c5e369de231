from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.counting import Overhead
from chatserver.context.learning import LearnedFactor, LearnedOverhead
from tests.unit.properties import PROPERTY


def test_what_a_template_adds_is_learned_from_prompts_of_different_lengths() -> None:
    learned = LearnedOverhead()
    assert (learned.now, learned.known) == (Overhead(), False)
    for messages in (1, 3, 5, 2, 9):
        assert learned.learn(messages, 7 + 5 * messages)
    assert learned.known
    assert learned.now == Overhead(5, 7)


def test_until_lengths_differ_the_guess_stays_careful() -> None:
    learned = LearnedOverhead()
    learned.learn(1, 12)
    assert (learned.now, learned.known) == (Overhead(), False)
    learned.learn(1, 60)
    # A default system prompt, which this template adds.
    assert learned.now == Overhead(8, 52)


def test_what_is_no_count_of_the_whole_prompt_teaches_nothing() -> None:
    learned = LearnedOverhead()
    assert not learned.learn(3, -40)
    assert not learned.learn(3, 90_000)
    assert learned.now == Overhead()


def test_what_an_update_changes_is_forgotten() -> None:
    learned = LearnedOverhead()
    for added in (50, 7):
        for number in range(64):
            learned.learn(1 + number % 8, added + 5 * (1 + number % 8))
    assert learned.now == Overhead(5, 7)


@PROPERTY
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 900)), min_size=1, max_size=90))
def test_no_remembered_prompt_had_more_than_is_expected(reports) -> None:
    learned = LearnedOverhead()
    for messages, beyond in reports:
        learned.learn(messages, beyond)
    for messages, beyond in reports[-64:]:
        assert learned.now.prompt + learned.now.message * messages >= beyond - 1e-6


def test_estimates_come_nearer_with_each_report() -> None:
    factor = LearnedFactor()
    for _ in range(30):
        assert factor.learn(round(300 * factor.now), 210)
    assert 0.69 < factor.now < 0.71


def test_a_factor_stays_within_reason_and_short_prompts_say_nothing() -> None:
    factor = LearnedFactor()
    assert not factor.learn(10, 40)
    assert not factor.learn(1000, 0)
    assert factor.now == 1
    for _ in range(50):
        factor.learn(100, 100_000)
    assert factor.now == 4
    for _ in range(50):
        factor.learn(100_000, 1)
    assert factor.now == 0.2
