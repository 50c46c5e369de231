"""Which scripts a text is written in, by counting its letters."""

import unicodedata
from collections import Counter
from functools import lru_cache

#: A script with this share of the letters is one that the text is written in, not only quoted.
_SHARE = 0.2
#: Letters looked at; a longer text shows nothing new.
_LONGEST_SAMPLE = 20_000
_TOGETHER = {"HIRAGANA": "KANA", "KATAKANA": "KANA"}


def scripts_of(text: str) -> frozenset[str]:
    """Name the scripts that make up a good part of the letters; none where there are no letters."""
    counts = _counts(text)
    least = _SHARE * counts.total()
    return frozenset(script for script, count in counts.items() if count >= least)


def main_script(text: str) -> str | None:
    """Name the script of most letters. What has kana is Japanese, however many Chinese characters it has."""
    counts = _counts(text)
    if counts["KANA"] >= _SHARE * counts.total() > 0:
        return "KANA"
    return min(counts, key=lambda script: (-counts[script], script), default=None)


def _counts(text: str) -> Counter[str]:
    letters = unicodedata.normalize("NFKC", text[:_LONGEST_SAMPLE])
    return Counter(_script(letter) for letter in letters if letter.isalpha())


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """Take the first word of the letter's name, which is its script for nearly all there are."""
    name = unicodedata.name(letter, "UNKNOWN").split(maxsplit=1)[0]
    return _TOGETHER.get(name, name)
