import pytest

from chatserver.upstream.simulator.answers.language import detect_language, significant_words, topic_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of France?", "en"),
        ("Qual é a capital da França?", "pt"),
        ("Write a poem in Portuguese", "pt"),
        ("Escreva um poema em inglês", "en"),
        ("42", "en"),
    ],
)
def test_the_language_shows_in_small_words_or_is_asked_for(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_a_text_without_a_sign_takes_the_language_of_the_one_before() -> None:
    assert detect_language("[[tokens=5]]", "", "Oi, tudo bem com você?") == "pt"


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("Write 400 words about the sea.", "the sea"),
        ("Tell me about trains, please", "trains"),
        ("Escreva sobre o mar em 50 palavras", "o mar"),
        ("How do I bake sourdough bread?", "bake sourdough bread"),
        ("Why?", ""),
    ],
)
def test_the_topic_is_named_or_what_matters_in_the_question(text: str, topic: str) -> None:
    assert topic_of(text) == topic


def test_small_words_and_requests_do_not_matter() -> None:
    assert significant_words("Please write a list of the best trains") == ["best", "trains"]
