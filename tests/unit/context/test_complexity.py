import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.complexity import Complexity, classify
from tests.unit.properties import PROPERTY


@pytest.mark.parametrize(
    ("question", "earlier", "complexity"),
    [
        ("", 0, Complexity.SIMPLE),
        ("Thanks!", 80, Complexity.SIMPLE),
        ("What is the capital of Peru?", 80, Complexity.SIMPLE),
        ("And why is that?", 0, Complexity.SIMPLE),
        ("And why is that?", 4, Complexity.MODERATE),
        ("Qual é minha cor favorita?", 10, Complexity.MODERATE),
        ("Compare Rome and Athens.", 0, Complexity.MODERATE),
        ("Which rivers flow through Germany, and which of them reach the sea?", 0, Complexity.MODERATE),
        ("What did we decide so far?", 30, Complexity.COMPLEX),
        ("Resuma nossa conversa.", 30, Complexity.COMPLEX),
        ("Compare Rome and Athens, step by step.", 0, Complexity.COMPLEX),
        ("Who? When? Where?", 0, Complexity.COMPLEX),
        ("Do this:\n1. shop\n2. cook", 0, Complexity.COMPLEX),
        ("What is wrong?\n```\nx = 1\n```", 0, Complexity.COMPLEX),
        ("word " * 200, 0, Complexity.COMPLEX),
    ],
)
def test_a_question_is_judged_by_its_words_and_by_what_it_may_point_back_to(
    question, earlier, complexity
) -> None:
    assert classify(question, earlier) is complexity


@PROPERTY
@given(st.text(), st.integers(0, 500))
def test_any_text_is_judged_and_history_never_makes_it_simpler(question, earlier) -> None:
    order = list(Complexity)
    assert order.index(classify(question, earlier)) >= order.index(classify(question, 0))


@pytest.mark.parametrize("text", [" " * 2**20, "a" * 2**20, "1.\n" * 2**18, "?" * 2**20, "\n\t" * 2**19])
def test_however_long_a_question_is_it_is_judged_in_no_time(text) -> None:
    begun = time.process_time()
    classify(text, 10)
    assert time.process_time() - begun < 0.02
