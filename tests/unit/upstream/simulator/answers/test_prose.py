import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.upstream.simulator.answers.compose import compose
from chatserver.upstream.simulator.answers.prose import write_words
from chatserver.upstream.simulator.answers.reading import Reading
from chatserver.upstream.simulator.messages import Message
from tests.unit.properties import tried


@tried(100)
@given(
    count=st.integers(1, 600),
    seed=st.integers(0, 100),
    topic=st.sampled_from(["the sea", "o mar", "a b c d e f g h i j k"]),
)
def test_any_number_of_words_ends_with_a_whole_sentence(count: int, seed: int, topic: str) -> None:
    reading = Reading("sim", [Message(role="user", content=f"Tell me about {topic}.")], seed)
    text = write_words(reading, count)
    assert len(text.split()) == count
    assert text[-1] in ".?"


def test_words_are_asked_for_in_both_languages(ask) -> None:
    assert len(ask("Write 400 words about the sea").split()) == 400
    assert len(ask("Escreva 60 palavras sobre o mar").split()) == 60
    assert len(ask("Explain the sea in 50 words").split()) == 50
    assert len(ask("Write an essay about the sea").split()) == 120


def test_long_texts_have_paragraphs_and_their_topic(ask) -> None:
    text = ask("Write 400 words about the sea")
    assert text.count("\n\n") >= 3
    assert "the sea" in text


@pytest.mark.parametrize(
    "asked", ["[[tokens=200]]", "Please write 200 tokens about the sea", "hello [[tokens=200]] again"]
)
def test_the_number_of_pieces_can_be_asked_for_exactly(reading, asked: str) -> None:
    assert len(compose(reading(asked)).pieces) == 200


def test_another_attempt_begins_elsewhere(reading) -> None:
    texts = {"".join(compose(reading("[[tokens=50]]", attempt=attempt)).pieces) for attempt in range(5)}
    assert len(texts) == 5


def test_how_much_can_be_asked_for_is_bounded(reading) -> None:
    assert len(compose(reading("[[tokens=99999999]]")).pieces) == 100_000
