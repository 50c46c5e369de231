"""The small facts that a summary must not lose: numbers, dates and names, found by how they are written."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

#: Digits with what stands inside of numbers, dates and times: 4,500.50 and 2026-03-12 and 14:30.
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_DATE_PARTS = re.compile(r"[.:/-]")
#: A separator before groups of three digits says nothing.
_GROUPING = re.compile(r"(?<=\d)[.,](?=\d{3}(?!\d))")
#: The number of a list's item or the mark of a heading says nothing either.
_MARKUP = re.compile(r"^[ \t]*(?:#+|\d{1,3}[.)]|[-*+>])(?=\s)", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]+")
#: What may stand between the words of one name: "Rio Tinto" is one, "Rio, Tinto" are two.
_INSIDE_A_NAME = re.compile(r"[ '’.-]{1,2}")
_SENTENCE_ENDS = re.compile(r"[.!?…。！？]['\"”»)*_]*\s+|\n\s*|^\s*")
_QUOTES = " \t\"'“”‘’«»*_`([{¿¡"


def facts_in(text: str) -> list[str]:
    """List the facts of a text in their order, each once, as they may be shown to a model."""
    plain = _plain(text)
    found = [*_numbers(plain), *_names(plain)]
    return list(dict.fromkeys(fact for _, fact in sorted(found)))


def pinned_facts(texts: Sequence[str], most: int) -> list[str]:
    """Pick the newest facts of texts that stand in order of time, oldest first."""
    newest_first = (fact for text in reversed(texts) for fact in reversed(facts_in(text)))
    picked: dict[str, str] = {}
    for fact in newest_first:
        picked.setdefault(_key(fact), fact)
        if len(picked) == most:
            break
    return list(picked.values())


def kept_facts(facts: Iterable[str], text: str) -> list[str]:
    """Tell which of the facts a text still has."""
    plain = _plain(text)
    numbers = [number for _, number in _numbers(plain)]
    told = _Told(
        numbers={_number_key(number) for number in numbers},
        parts={part for number in numbers for part in _parts(number)},
        words={word.casefold() for word in _WORD.findall(plain)},
    )
    return [fact for fact in facts if told.has(fact)]


@dataclass(frozen=True, slots=True)
class _Told:
    """What a text tells, one by one."""

    numbers: set[str]
    #: The numbers inside of dates and times, and all others.
    parts: set[str]
    words: set[str]

    def has(self, fact: str) -> bool:
        if _NUMBER.fullmatch(fact):
            # A date may be written another way, as long as its numbers are there.
            return _number_key(fact) in self.numbers or (_is_date(fact) and _parts(fact) <= self.parts)
        return all(_is_said(word.casefold(), self.words) for word in _WORD.findall(fact))


def _parts(number: str) -> set[str]:
    return {_number_key(part) for part in _DATE_PARTS.split(number)}


def _is_date(number: str) -> bool:
    """Tell dates and times, and whatever else has numbers of its own inside, from a single number."""
    return bool(set(":/-") & set(number)) or number.count(".") == 2


def _is_said(word: str, words: set[str]) -> bool:
    if word in words:
        return True
    # Latin names keep their form nearly everywhere; in Cyrillic or Greek their endings change.
    if unicodedata.name(word[0], "").startswith("LATIN") or len(word) < 4:
        return False
    stem = word[: max(3, len(word) - 2)]
    return any(other.startswith(stem) and abs(len(other) - len(word)) <= 2 for other in words)


def _plain(text: str) -> str:
    return _MARKUP.sub("", unicodedata.normalize("NFKC", text))


def _numbers(text: str) -> Iterator[tuple[int, str]]:
    for found in _NUMBER.finditer(text):
        yield found.start(), found[0]


def _names(text: str) -> Iterator[tuple[int, str]]:
    """Yield runs of capitalised words; a sentence's first word is one anyway, so it doesn't count."""
    starts = {_first_letter(text, end.end()) for end in _SENTENCE_ENDS.finditer(text)}
    run: list[re.Match[str]] = []
    for word in _WORD.finditer(text):
        named = _is_capitalised(word[0]) and word.start() not in starts
        if run and not (named and _INSIDE_A_NAME.fullmatch(text, run[-1].end(), word.start())):
            yield _joined(text, run)
            run = []
        if named:
            run.append(word)
    if run:
        yield _joined(text, run)


def _joined(text: str, run: Sequence[re.Match[str]]) -> tuple[int, str]:
    return run[0].start(), text[run[0].start() : run[-1].end()]


def _first_letter(text: str, start: int) -> int:
    while start < len(text) and text[start] in _QUOTES:
        start += 1
    return start


def _is_capitalised(word: str) -> bool:
    # One letter is a pronoun or a label.
    return len(word) > 1 and (word[0].isupper() or word[0].istitle())


def _key(fact: str) -> str:
    return _number_key(fact) if _NUMBER.fullmatch(fact) else " ".join(_WORD.findall(fact)).casefold()


def _number_key(number: str) -> str:
    """Write a number one way: ASCII digits, no grouping, a point for decimals, no zeros in front."""
    digits = "".join(str(unicodedata.digit(sign, sign)) for sign in number)
    digits = _GROUPING.sub("", digits).replace(",", ".")
    return digits.lstrip("0") or "0"
