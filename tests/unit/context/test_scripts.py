import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.scripts import main_script, scripts_of
from tests.unit.properties import PROPERTY


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Good morning", "LATIN"),
        ("Olá, você está bem?", "LATIN"),
        ("Добрый день", "CYRILLIC"),
        ("Καλημέρα", "GREEK"),
        ("صباح الخير", "ARABIC"),
        ("早上好", "CJK"),
        ("日本語の文章です", "KANA"),
        ("안녕하세요", "HANGUL"),
        ("नमस्ते", "DEVANAGARI"),
        ("12:30 €!", None),
        ("", None),
    ],
)
def test_a_text_has_the_script_of_its_letters(text, script) -> None:
    assert main_script(text) == script


def test_a_text_with_code_in_it_is_in_both_scripts() -> None:
    assert scripts_of("Вот программа для вас: print(hello, world, again)") == {"CYRILLIC", "LATIN"}
    assert scripts_of("Мы говорили об этом вчера и сегодня, и о Redis") == {"CYRILLIC"}


def has_letters(text: str) -> bool:
    return any(letter.isalpha() for letter in unicodedata.normalize("NFKC", text))


@PROPERTY
@given(st.text(max_size=100))
def test_the_main_script_is_one_of_those_that_count(text) -> None:
    main, scripts = main_script(text), scripts_of(text)
    assert (main is None) == (not has_letters(text))
    # Where many scripts are mixed, none may have its share.
    assert main is None or not scripts or main in scripts
