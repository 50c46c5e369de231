"""Summaries as an extract: what was told first, then the sentences with names, numbers and dates."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatserver.upstream.simulator.answers.facts import Fact, facts_in, localised, sentences
from chatserver.upstream.simulator.answers.language import Language, request_words, words_of
from chatserver.upstream.simulator.answers.reading import Reading
from chatserver.upstream.simulator.vocabulary import load_vocabulary

_ASKED = re.compile(
    r"\b(?:summari[sz](?:e|es|ing)|summary|tl;?dr|condense|resum(?:a|e|ir|o)|sumário|recapitul\w+)\b",
    re.IGNORECASE,
)
#: Instructions may also bring a summary along; only those that tell to write one count.
_INSTRUCTED = re.compile(
    r"\b(?:summari[sz]e|condense|resuma"
    r"|(?:write|update|make|escreva|atualize) (?:\w+ ){0,3}(?:summary|summaries|resumos?))\b",
    re.IGNORECASE,
)
_SPEAKER = re.compile(
    r"^\W*(?P<who>user|human|person|assistant|ai|model|system|usuári[oa]|pessoa|assistente)\W*:\s*",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"(\d{1,5})[ -]?(words?|tokens?|palavras?)", re.IGNORECASE)
#: What a summary is to have as it was said.
_TO_KEEP = re.compile(r"^keep these[^:\n]*: (?P<names>.+?)\.?$", re.IGNORECASE | re.MULTILINE)
_NAMED: dict[Language, str] = {"en": "Also named were", "pt": "Também se falou de"}
_DETAIL = re.compile(r"\d|(?<=[a-zà-ÿ,] )[A-ZÀ-Þ]\w+")
_LEAST_WORDS = 4
_DEFAULT_TOKENS = 150
_TOKENS_PER_WORD = 1.4
#: A message with more words or lines than an instruction has brings the text to be summarised along.
_LONGEST_INSTRUCTION = 25


@dataclass(frozen=True)
class _Said:
    """One sentence of the text, and whether a person (and not the model) said it."""

    text: str
    by_person: bool


def summarise(reading: Reading) -> str | None:
    """Return the extract if one is asked for, by the person or by the instructions."""
    by_instruction = bool(_INSTRUCTED.search(" ".join(sentences(reading.instructions)[:2])))
    if not by_instruction and not _asked_by(reading.question):
        return None
    said = list(_source(reading, whole=by_instruction))
    told = {fact.key: fact for one in said if one.by_person for fact in facts_in(one.text)}
    facts = [_fact_line(fact, reading.language) for fact in told.values()]
    lines = [*facts, *_named(reading, said, facts), *_lines(said, [fact.value for fact in told.values()])]
    if not lines:
        return reading.say("summary_empty")
    limit = _token_limit(f"{reading.instructions} {reading.question}")
    return "\n".join(_within(limit, [reading.say("summary_intro"), *lines]))


def _named(reading: Reading, said: Sequence[_Said], facts: Sequence[str]) -> Iterator[str]:
    """Name what the instructions want to be kept, if it was said and isn't kept already."""
    wanted = _TO_KEEP.search(reading.instructions)
    kept, talk = "\n".join(facts), "\n".join(one.text for one in said)
    names = wanted["names"].split("; ") if wanted else []
    missing = [name for name in names if name not in kept and name in talk]
    if missing:
        yield f"- {_NAMED[reading.language]} {', '.join(missing)}."


def _asked_by(question: str) -> bool:
    """Tell whether the first or the last sentence asks for a summary; in between it is part of the text."""
    all_of_it = sentences(question)
    return any(_ASKED.search(sentence) for sentence in (*all_of_it[:1], *all_of_it[-1:]))


def _source(reading: Reading, *, whole: bool) -> Iterator[_Said]:
    brought = [text for text in sentences(reading.question) if whole or not _ASKED.search(text)]
    if whole or "\n" in reading.question or len(" ".join(brought).split()) > _LONGEST_INSTRUCTION:
        yield from _transcript(brought)
        return
    for message in reading.earlier:
        if message.role != "tool":
            for sentence in sentences(message.content):
                yield _Said(sentence, by_person=message.role != "assistant")


def _transcript(lines: Sequence[str]) -> Iterator[_Said]:
    """Read a conversation that was pasted as text; a line without a speaker goes on with the last one."""
    by_person = True
    for line in lines:
        speaker = _SPEAKER.match(line)
        if speaker:
            by_person = speaker["who"].lower() not in ("assistant", "ai", "model", "assistente")
            line = line[speaker.end() :]  # noqa: PLW2901 - what is left of it
        if line:
            yield _Said(line, by_person)


def _fact_line(fact: Fact, language: Language) -> str:
    key = localised(fact.key, language)
    return f"- {key[0].upper()}{key[1:]}: {fact.value}"


def _lines(said: Sequence[_Said], told: Sequence[str]) -> Iterator[str]:
    """Give the sentences that are worth keeping beside what was told as a fact."""
    rest = [one for one in said if not _tells_facts(one) and _is_worth_keeping(one)]
    # Sorting is stable, so equals keep the order in which they were said.
    for one in sorted(dict.fromkeys(rest), key=_weight):
        # A model often says again what it was told.
        if one.by_person or not any(value in one.text for value in told):
            yield one.text if one.text.startswith("- ") else f"- {one.text}"


def _tells_facts(said: _Said) -> bool:
    return said.by_person and any(True for _ in facts_in(said.text))


def _is_worth_keeping(said: _Said) -> bool:
    """Leave out questions, requests, courtesies and markup; of the model keep only details."""
    if any(named in said.text for named in _NAMED.values()):
        return False
    words = words_of(said.text)
    if len(words) < _LEAST_WORDS or said.text.endswith(("?", ":")) or said.text.startswith(("|", "`", "#")):
        return False
    if said.by_person:
        return words[0] not in request_words() and not _ASKED.search(said.text)
    return bool(_DETAIL.search(said.text)) and not said.text[0].isdigit()


def _weight(said: _Said) -> tuple[bool, bool]:
    """Sort people before models, and details before generalities."""
    return not said.by_person, not _DETAIL.search(said.text)


def _token_limit(text: str) -> int:
    found = _LIMIT.search(text)
    if not found:
        return _DEFAULT_TOKENS
    number = int(found[1])
    return number if found[2].lower().startswith("token") else round(number * _TOKENS_PER_WORD)


def _within(limit: int, lines: Sequence[str]) -> Iterator[str]:
    left = limit
    for line in lines:
        cost = load_vocabulary().count(line) + 1
        if cost <= left:
            left -= cost
            yield line
