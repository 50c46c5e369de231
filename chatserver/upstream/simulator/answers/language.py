"""Which of the two languages a text is in, and which of its words matter."""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

Language = Literal["en", "pt"]

_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")
_ASKED_FOR = (
    (re.compile(r"\bin portuguese\b|\bem português\b", re.IGNORECASE), "pt"),
    (re.compile(r"\bin english\b|\bem inglês\b", re.IGNORECASE), "en"),
)
_LONGEST_SAMPLE = 2_000


@cache
def _words(kind: str) -> frozenset[str]:
    text = files("chatserver.upstream.simulator").joinpath("texts/words.toml").read_text(encoding="utf-8")
    return frozenset(str(tomllib.loads(text)[kind]).split())


def detect_language(*texts: str) -> Language:
    """Return the language of the first text that shows one, English if none does."""
    for text in texts:
        for pattern, language in _ASKED_FOR:
            if pattern.search(text):
                return "pt" if language == "pt" else "en"
        words = [word.lower() for word in _WORD.findall(text[:_LONGEST_SAMPLE])]
        english = sum(word in _words("english") for word in words)
        portuguese = sum(word in _words("portuguese") for word in words)
        if english != portuguese:
            return "pt" if portuguese > english else "en"
    return "en"


def request_words() -> frozenset[str]:
    """Return the words of requests and courtesies, which tell nothing."""
    return _words("requests")


def words_of(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def matters(word: str) -> bool:
    """Tell whether a word (in lower case) carries meaning of its own."""
    return not any(word in _words(kind) for kind in ("english", "portuguese", "requests"))


def significant_words(text: str) -> list[str]:
    return [word for word in words_of(text) if matters(word)]


_TOPIC = re.compile(
    r"\b(?:about|on|regarding|sobre|acerca de)\s+(?P<topic>.{2,60}?)"
    r"\s*(?:[.?!,;:\n]|\b(?:in|with|then|em|com)\b|$)",
    re.IGNORECASE,
)


def topic_of(text: str) -> str:
    """Return what `text` is about in a few of its own words, or nothing."""
    named = _TOPIC.search(text)
    if named:
        return named["topic"]
    run: list[str] = []
    for word in _WORD.findall(text):
        if matters(word.lower()):
            run.append(word)
        elif run:
            break
    return " ".join(run[:4])
