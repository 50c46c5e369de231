import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.titling import clean_title, first_words, title_request
from tests.unit.properties import PROPERTY

QUESTION = "What is the capital of France?"


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("The Capital of France", "The Capital of France"),
        ('"The Capital of France."\n\nI hope this helps!', "The Capital of France"),
        ("\n\n# **Title:** “Paris”", "Paris"),
        ("Título: A capital da _França_", "A capital da França"),
        ("`snake_case` in 'Rust'", "snake_case in Rust"),
        ("It doesn't matter", "It doesn't matter"),
        ("[Paris](https://example.org)", "Paris"),
        ("Paris\x1b[0m and\tthe Seine", "Paris 0m and the Seine"),
        ("", None),
        ("***\n---", None),
        # In another script than the question.
        ("Столица Франции", None),
    ],
)
def test_a_title_is_one_plain_line(written, title) -> None:
    assert clean_title(written, QUESTION) == title


def test_a_title_is_in_the_script_of_the_question() -> None:
    assert clean_title("Столица Франции", "Какая столица Франции?") == "Столица Франции"
    assert clean_title("The capital of France", "Какая столица Франции?") is None
    assert clean_title("法国的首都", "法国的首都是哪里？") == "法国的首都"
    assert clean_title("Anything", "2 + 2 = ?") == "Anything"


def test_first_words_end_between_words() -> None:
    assert first_words(" What\nis  this? ") == "What is this?"
    assert first_words("word " * 40) == "word " * 10 + "word…"
    assert first_words("字" * 100) == "字" * 59 + "…"


def test_the_model_is_asked_with_the_beginning_of_question_and_answer() -> None:
    [message] = title_request("Q" * 10_000, "A" * 10_000)
    assert message["role"] == "user"
    assert message["content"].startswith("Write a title")
    assert len(message["content"]) < 2000


@PROPERTY
@given(st.text(max_size=300), st.text(max_size=50))
def test_titles_are_bounded_printable_and_without_quotes(written, question) -> None:
    title = clean_title(written, question)
    assert title is None or (0 < len(title) <= 60 and title.isprintable() and title == title.strip())
    assert title is None or not set('"“”*`#') & set(title)
    assert len(first_words(question)) <= 60
