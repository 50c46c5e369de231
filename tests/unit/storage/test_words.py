import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.generation.principal import Principal
from chatserver.storage.words import Sought, key_of, sought_in, words_of
from tests.unit.properties import tried

#: What has a meaning in the language of some index.
_MEANS_SOMETHING = set(string.punctuation + string.whitespace + "\0")


def whole(*words: str) -> list[Sought]:
    return [Sought(word, beginning=False) for word in words]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("!? … -- \n\t_", []),
        ("Hello, hello WORLD", ["hello", "world"]),
        ("Crème brûlée à l'été", ["creme", "brulee", "a", "l", "ete"]),
        ("Straße İstanbul ﬁn", ["strasse", "istanbul", "fin"]),
        ("snake_case 3.14 x2", ["snake", "case", "3", "14", "x2"]),
        ("東京都", ["東京", "京都", "都"]),
        ("GPU上でvLLM", ["gpu", "上て", "て", "vllm"]),
        ("Привет мир", ["привет", "мир"]),
    ],
)
def test_words_are_those_of_the_text_without_case_and_accents(text, words) -> None:
    assert words_of(text) == words


def test_words_and_texts_are_bounded() -> None:
    assert words_of("a" * 1000) == ["a" * 40]
    assert words_of("b " * 49_999 + "last beyond") == ["b", "la"]


@pytest.mark.parametrize(
    ("text", "sought"),
    [
        ("", []),
        ("?*\"'", []),
        ("Hel", [Sought("hel", beginning=True)]),
        ("hello wor", [*whole("hello"), Sought("wor", beginning=True)]),
        ("hello wor ", [*whole("hello"), Sought("wor", beginning=True)]),
        # A single letter would be the beginning of a tenth of all words.
        ("plan b", whole("plan", "b")),
        ("京", [Sought("京", beginning=True)]),
        ("東京都", whole("東京", "京都")),
        ('a* OR b NOT (c) NEAR/2 d:e "f', whole("a", "or", "b", "not", "c", "near", "2", "d", "e", "f")),
    ],
)
def test_a_search_is_nothing_but_words(text, sought) -> None:
    assert sought_in(text) == sought


def test_so_many_words_of_a_search_count() -> None:
    assert len(sought_in(" ".join(f"word{n}" for n in range(50)))) == 12


@tried(100)
@given(st.text(max_size=200))
def test_whatever_was_said_is_found_by_its_own_words(text) -> None:
    words = words_of(text)
    assert all(word and not _MEANS_SOMETHING & set(word) for word in words)
    for each in sought_in(text):
        assert any(word.startswith(each.word) if each.beginning else word == each.word for word in words)


def test_everybody_has_a_key_of_their_own_of_one_length() -> None:
    users = [Principal("a", "b"), Principal("ab", ""), Principal("", "ab"), Principal("a", "c")]
    keys = {key_of(user) for user in users}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {6}
    assert all(key.isalnum() for key in keys)
