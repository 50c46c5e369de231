"""Running text of any length: by words for people, by tokens for tests and load."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, cycle, islice
from typing import TypeVar

from chatserver.upstream.simulator.answers.language import Language
from chatserver.upstream.simulator.answers.reading import Reading
from chatserver.upstream.simulator.answers.speech import speech
from chatserver.upstream.simulator.vocabulary import load_vocabulary

_WORDS = re.compile(r"\b(\d{1,6})[ -]?(?:words?|palavras?)\b", re.IGNORECASE)
_TOKENS = re.compile(r"\b(\d{1,6})[ -]?tokens?\b", re.IGNORECASE)
_WRITING = re.compile(
    r"\b(?:write|tell|give|say|make|produce|explain|describe|answer"
    r"|escreva|conte|fale|faça|diga|explique|descreva|responda)\b",
    re.IGNORECASE,
)
_ESSAY = re.compile(r"\b(?:essay|paragraphs?|article|redação|parágrafos?|artigo)\b", re.IGNORECASE)
_WORDS_OF_AN_ESSAY = 120
_MOST_WORDS = 20_000
_MOST_TOKENS = 100_000
_SENTENCES_PER_PARAGRAPH = 5

Item = TypeVar("Item")


def words_asked_for(reading: Reading) -> str | None:
    """Write as many words as were asked for."""
    if not _WRITING.search(reading.question):
        return None
    found = _WORDS.search(reading.question)
    if found:
        return write_words(reading, min(int(found[1]), _MOST_WORDS))
    return write_words(reading, _WORDS_OF_AN_ESSAY) if _ESSAY.search(reading.question) else None


def write_words(reading: Reading, count: int) -> str:
    """Write paragraphs of exactly `count` words that end with a whole sentence."""
    stock = [sentence.format(topic=reading.topic) for sentence in reading.speech.writing["prose"]]
    written: list[str] = []
    left = count
    for sentence in _from(stock, reading.rng.randrange(len(stock))):
        length = len(sentence.split())
        if length > left:
            break
        written.append(sentence)
        left -= length
    written.extend(_ending(stock, reading.speech.writing["endings"], left))
    starts = range(0, len(written), _SENTENCES_PER_PARAGRAPH)
    return "\n\n".join(" ".join(written[at : at + _SENTENCES_PER_PARAGRAPH]) for at in starts)


def _ending(stock: Sequence[str], endings: Sequence[str], left: int) -> Iterator[str]:
    """Fill the last words: with sentences that fit, then with an ending, of which there is one a length."""
    lengths = {len(sentence.split()): sentence for sentence in stock}
    while left > len(endings):
        length = max(length for length in lengths if length <= left)
        yield lengths[length]
        left -= length
    if left:
        yield endings[left - 1]


def tokens_asked_for(reading: Reading) -> list[str] | None:
    """Return exactly as many pieces as `[[tokens=N]]` or "write N tokens" ask for."""
    asked = reading.directives.get("tokens", "")
    if not asked.isdecimal():
        found = _TOKENS.search(reading.question) if _WRITING.search(reading.question) else None
        if not found:
            return None
        asked = found[1]
    return list(islice(endless_pieces(reading), min(int(asked), _MOST_TOKENS)))


def endless_pieces(reading: Reading) -> Iterator[str]:
    """Yield pieces of prose for ever; each attempt begins with another sentence."""
    stock = _stock_pieces(reading.language)
    return chain.from_iterable(_from(stock, reading.seed + reading.attempt))


def _from(stock: Sequence[Item], start: int) -> Iterator[Item]:
    """Go round `stock` for ever, beginning somewhere in it."""
    return islice(cycle(stock), start % len(stock), None)


@cache
def _stock_pieces(language: Language) -> tuple[tuple[str, ...], ...]:
    """Return each sentence of the stock cut into pieces, with the space that follows it."""
    own = speech(language)
    topic = own.phrases["that"][0]
    pieces = load_vocabulary().pieces
    return tuple(tuple(pieces(sentence.format(topic=topic) + " ")) for sentence in own.writing["prose"])
