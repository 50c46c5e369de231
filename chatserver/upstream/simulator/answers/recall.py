"""Asking for what was told earlier: answered from the messages alone, and honest about what isn't there."""

import re
from dataclasses import dataclass

from chatserver.upstream.simulator.answers.facts import (
    Fact,
    canonical,
    facts_in,
    find_fact,
    name_for_you,
    sentences,
)
from chatserver.upstream.simulator.answers.language import Language, significant_words
from chatserver.upstream.simulator.answers.reading import Reading

_KEY = r"(?P<key>[\w][\w' -]{0,40}?)"
_END = r"(?: is| are| was| again| called)*\s*[?.!]*$"
_ASKED_OWN = (
    re.compile(
        r"\b(?:what(?:'s| is| are| was| were)?|which (?:is|are)|who(?:'s| is)|tell me(?: what)?"
        rf"|(?:remember|recall|know|say|said|told you)(?: what)?) (?P<whose>my) {_KEY}{_END}",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:qual|quais|sabe|sabes|lembra|lembra-se|diga|dizer)(?:-me)?(?: me)?(?: qual)?(?: é| era| são)?"
        rf"(?: mesmo)?(?: d?[oa]s?| de)? (?P<whose>meus?|minhas?) {_KEY}(?: é| era| são)*\s*[?.!]*$",
        re.IGNORECASE,
    ),
)
_ASKED_OTHER = (
    re.compile(
        r"\b(?:(?:what|who|when|where)(?:'s| is| are| was)|tell me|remember(?: what)?|know(?: what)?)"
        rf" (?P<whose>the) {_KEY}{_END}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?:qual|quais|quem|quando|onde) (?:é|era|são|fica) (?P<whose>[oa]s?) {_KEY}\s*[?.!]*$",
        re.IGNORECASE,
    ),
)
_ASKED_SELF = (
    (
        re.compile(
            r"\bwho am i\b|\bwhat am i called\b|\bquem sou eu\b|\bcomo (?:eu )?me chamo\b", re.IGNORECASE
        ),
        "name",
    ),
    (re.compile(r"\bwhere (?:do i live|am i from)\b|\bonde (?:eu )?moro\b", re.IGNORECASE), "home"),
    (re.compile(r"\bhow old am i\b|\bquantos anos (?:eu )?tenho\b", re.IGNORECASE), "age"),
    (re.compile(r"\bwhere do i work\b|\bonde (?:eu )?trabalho\b", re.IGNORECASE), "work"),
)
_SELF_NAMES: dict[Language, dict[str, str]] = {
    "en": {"name": "your name", "home": "where you live", "age": "how old you are", "work": "where you work"},
    "pt": {
        "name": "seu nome",
        "home": "onde você mora",
        "age": "quantos anos você tem",
        "work": "onde você trabalha",
    },
}
#: "The code word" can be told; "the best way to learn chess" is a question about the world.
_LONGEST_NAME = 3
#: A person telling something that has no name of its own.
_STATEMENT = re.compile(
    r"(?:i|we|he|she|they|our|eu|nós|ele|ela|eles|elas|a gente)\b"
    r"(?! (?:want|need|would|quero|preciso))[^?]{12,}$",
    re.IGNORECASE,
)
_ASKED_LAST = re.compile(
    r"\b(?:what (?:did i (?:just )?(?:ask|say)|was my (?:last )?question)"
    r"|o que eu (?:acabei de |te )?(?:perguntei|perguntar|disse|dizer))\s*[?.!]*$",
    re.IGNORECASE,
)
_STEM = 4
_LONGEST_QUOTE = 300
_QUOTED = ("home", "age", "work")


@dataclass(frozen=True)
class Asked:
    """What a question is after: the key of a fact, and how to name it in the answer."""

    key: str
    what: str
    #: Only the person could have told it, so that nothing else need be tried.
    personal: bool


def asked_for(question: str, language: Language) -> Asked | None:
    for sentence in reversed(sentences(question)):
        asked = _asked_in(sentence, language)
        if asked:
            return asked
    return None


def recall(reading: Reading) -> str | None:
    """Answer from what was told; say so where a personal fact wasn't."""
    if _ASKED_LAST.search(reading.question):
        return _repeat_question(reading)
    asked = asked_for(reading.question, reading.language)
    if asked is None:
        return _recall_sentence(reading) if reading.question.endswith("?") else None
    fact = find_fact(reading.facts, asked.key)
    if fact is not None:
        return _tell(reading, asked, fact)
    return reading.say("unknown", what=asked.what) if asked.personal else None


def admit(reading: Reading) -> str | None:
    """Say that something isn't known, when nothing else had an answer either."""
    asked = asked_for(reading.question, reading.language)
    if asked is None or len(asked.key.split()) > _LONGEST_NAME:
        return None
    return reading.say("unknown", what=asked.what)


def acknowledge(reading: Reading) -> str | None:
    """Confirm what the person has told in this message."""
    confirmed = " ".join(_confirm(reading, fact) for fact in facts_in(reading.question))
    return confirmed or (reading.say("noted") if _STATEMENT.match(reading.question) else None)


def _confirm(reading: Reading, fact: Fact) -> str:
    if fact.key == "name":
        return reading.say("meet", value=fact.value)
    if fact.what:
        return _state(reading, "noted_fact", fact.what, fact)
    return reading.say("recall_sentence", value=fact.clause)


def _tell(reading: Reading, asked: Asked, fact: Fact) -> str:
    # Where somebody lives or works is best told in the words it was told in.
    if asked.key in _QUOTED:
        return reading.say("recall_sentence", value=fact.clause.lstrip("-*• "))
    return _state(reading, "recall", asked.what, fact)


def _state(reading: Reading, phrase: str, what: str, fact: Fact) -> str:
    singular, plural = ("é", "são") if reading.language == "pt" else ("is", "are")
    said = reading.say(phrase, what=what, value=fact.value, **{"is": plural if fact.plural else singular})
    return said[0].upper() + said[1:]


def _repeat_question(reading: Reading) -> str | None:
    asked = [message.content for message in reading.earlier if message.role == "user"]
    return reading.say("recall_sentence", value=asked[-1][:_LONGEST_QUOTE]) if asked else None


def _stems(text: str) -> set[str]:
    """Return the beginnings of the words that matter, so that "meet" finds "meeting"."""
    return {word[:_STEM] for word in significant_words(text)}


def _recall_sentence(reading: Reading) -> str | None:
    """Quote the earlier statement which shares most words with the question, if it shares at least two."""
    wanted = _stems(reading.question)
    best, most = None, 1
    for message in reading.earlier:
        if message.role in ("system", "user"):
            for sentence in sentences(message.content):
                shared = len(wanted & _stems(sentence))
                if shared > most and not sentence.endswith("?"):
                    best, most = sentence, shared
    return reading.say("recall_sentence", value=best[:_LONGEST_QUOTE]) if best else None


def _asked_in(sentence: str, language: Language) -> Asked | None:
    for pattern, key in _ASKED_SELF:
        if pattern.search(sentence):
            return Asked(key, _SELF_NAMES[language][key], personal=True)
    for patterns, personal in ((_ASKED_OWN, True), (_ASKED_OTHER, False)):
        for pattern in patterns:
            found = pattern.search(sentence)
            if found:
                return Asked(canonical(found["key"]), name_for_you(found["whose"], found["key"]), personal)
    return None
