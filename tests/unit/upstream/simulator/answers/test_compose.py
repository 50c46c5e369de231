import json

import pytest

from chatserver.upstream.simulator.answers.compose import compose, continue_from
from chatserver.upstream.simulator.vocabulary import load_vocabulary

QUESTION = "How do I bake bread?"


def test_the_same_messages_and_seed_give_the_same_answer(ask) -> None:
    assert ask(QUESTION, seed=7) == ask(QUESTION, seed=7)


def test_other_seeds_give_other_words(ask) -> None:
    assert len({ask(QUESTION, seed=seed) for seed in range(20)}) > 2


@pytest.mark.parametrize(
    "question",
    [QUESTION, "Hello", "What is my name?", "Repeat: one", "Summarise this", "code", "[[tokens=9]]"],
)
def test_no_attempt_says_what_one_before_has_said(ask, question: str) -> None:
    assert len({ask(question, attempt=attempt) for attempt in range(5)}) == 5


def test_the_language_of_the_question_is_the_language_of_the_answer(ask) -> None:
    assert "simulado" in ask("Como eu posso fazer um bom pão?")
    assert "simulated" in ask("How can I make a good bread?")


def test_json_is_json(ask) -> None:
    assert (
        "your name is Ana"
        in json.loads(ask("My name is Ana.", "Hi", "What is my name?", form="json"))["answer"]
    )
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 2}}, "required": ["n"]}
    assert json.loads(ask("x", form=schema)) == {"n": 2}
    assert json.loads(ask("x", form=schema, attempt=1)) == {"n": 2}


def test_thoughts_are_about_the_question(reading) -> None:
    assert not compose(reading(QUESTION)).thoughts
    thoughts = {"".join(compose(reading(QUESTION, seed=seed), think=True).thoughts) for seed in range(5)}
    assert any("bake bread" in thought for thought in thoughts)


def test_the_answer_does_not_depend_on_thinking(reading) -> None:
    assert compose(reading(QUESTION), think=True).pieces == compose(reading(QUESTION)).pieces


PIECES = ["Good", " mor", "ning", ", Ana"]


@pytest.mark.parametrize(
    ("prefix", "rest"),
    [
        ("Good", [" mor", "ning", ", Ana"]),
        ("Good mor", ["ning", ", Ana"]),
        ("Good mo", ["r", "ning", ", Ana"]),
        ("Good morning, Ana", []),
        ("Bad", [" ", *PIECES]),
        ("Good morning, Ana!", [" ", *PIECES]),
    ],
)
def test_a_continuation_begins_where_the_prefix_ends(prefix: str, rest: list[str]) -> None:
    assert continue_from(prefix, PIECES, diverging=False) == rest


def test_a_diverging_continuation_goes_its_own_way_but_not_longer(reading) -> None:
    first = compose(reading("[[tokens=100]]")).pieces
    other = compose(reading("[[tokens=100]]", attempt=1)).pieces
    prefix = "".join(first[:40])
    rest = continue_from(prefix, other, diverging=True)
    assert rest != list(first[40:])
    assert len(rest) == 100 - load_vocabulary().count(prefix)
