"""What a person has told: names, favourites, places and other small statements found in messages."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatserver.upstream.simulator.answers.language import Language, significant_words

#: Keys that have the same meaning in several spellings or languages.
_SAME = {
    "nome": "name",
    "casa": "home",
    "trabalho": "work",
    "idade": "age",
    "cidade": "city",
    "cachorro": "dog",
    "gato": "cat",
    "aniversário": "birthday",
    "cor favorita": "favourite colour",
    "cor preferida": "favourite colour",
    "comida favorita": "favourite food",
    "reunião": "meeting",
    "palavra-chave": "code word",
}
_LONGEST_VALUE = 120
#: Whose it is, said by the other side.
_YOURS = {"my": "your", "meu": "seu", "minha": "sua", "meus": "seus", "minhas": "suas"}

#: A sentence ends at its mark or its line; a clause also where the speaker begins a new one about himself.
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_CLAUSE = re.compile(r",? (?:and|but|e|mas) (?=my |i |i'm |minha |meu |eu |moro |tenho )", re.IGNORECASE)

_KEY = r"(?P<key>[\w][\w' -]{0,40}?)"
_STATEMENTS = (
    re.compile(
        rf"\b(?P<whose>my|(?:the )?user's) {_KEY}(?: (?P<verb>is|are|was|were)\b|:| =) ?(?P<value>.+)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^(?:.*\bthat )?(?P<whose>the) {_KEY} (?P<verb>is|are|was|were) (?P<value>.+)", re.IGNORECASE
    ),
    re.compile(rf"\b(?P<whose>meus?|minhas?) {_KEY} (?P<verb>é|são|era|fica) (?P<value>.+)", re.IGNORECASE),
    re.compile(
        rf"^(?:.*\bque )?(?P<whose>o|a|os|as) {_KEY} (?P<verb>é|são|era|fica) (?P<value>.+)", re.IGNORECASE
    ),
    # A line of an earlier summary.
    re.compile(r"^[-*•] (?P<key>[^\W\d_][\w' -]{1,40}): (?P<value>.+)"),
)
_SELF = (
    (re.compile(r"\b(?:i am|i'm|people) called (?P<value>[\w -]+)", re.IGNORECASE), "name"),
    (re.compile(r"\bcall me (?P<value>[\w-]+)", re.IGNORECASE), "name"),
    (re.compile(r"\bme chamo (?P<value>[\w -]+)", re.IGNORECASE), "name"),
    (re.compile(r"\b(?:I am|I'm|[Ss]ou [oa]) (?P<value>[A-ZÀ-Þ][\w-]+)$"), "name"),
    (
        re.compile(
            r"\b(?:i live in|i am from|i'm from|moro em|moro no|moro na) (?P<value>.+)", re.IGNORECASE
        ),
        "home",
    ),
    (re.compile(r"\b(?:i am|i'm) (?P<value>\d{1,3})(?: years old)?$", re.IGNORECASE), "age"),
    (re.compile(r"\btenho (?P<value>\d{1,3}) anos", re.IGNORECASE), "age"),
    (
        re.compile(r"\b(?:i work|trabalho) (?:as|at|for|in|como|na|no|em) (?P<value>.+)", re.IGNORECASE),
        "work",
    ),
)


@dataclass(frozen=True)
class Fact:
    """One thing that was told, with the clause that told it."""

    key: str
    value: str
    clause: str
    #: How the model would name it ("your dog's name"); empty where the clause names nothing.
    what: str = ""
    plural: bool = False


def sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]


def facts_in(text: str) -> Iterator[Fact]:
    """Yield what `text` states, in its order; questions state nothing."""
    for sentence in sentences(text):
        if not sentence.endswith("?"):
            for clause in _CLAUSE.split(sentence):
                fact = _fact_in(clause.strip().rstrip(".!;"))
                if fact:
                    yield fact


def find_fact(facts: Sequence[Fact], key: str) -> Fact | None:
    """Return what was told last about `key`, or about something that names it."""
    wanted = canonical(key)
    wanted_words = set(significant_words(wanted))
    nearest = None
    for fact in reversed(facts):
        if fact.key == wanted:
            return fact
        words = set(significant_words(fact.key))
        if nearest is None and words and wanted_words and (words <= wanted_words or wanted_words <= words):
            nearest = fact
    return nearest


def name_for_you(whose: str, key: str) -> str:
    """Turn "my" + "dog's name" into "your dog's name"; articles stay."""
    whose = "my" if whose.endswith("'s") else whose.lower()
    return f"{_YOURS.get(whose, whose)} {key}"


def localised(key: str, language: Language) -> str:
    """Return the key as it is called in `language`."""
    names = {same: other for other, same in _SAME.items()} if language == "pt" else {}
    return names.get(key, key)


def canonical(key: str) -> str:
    key = key.strip().lower().replace("favorite", "favourite").replace("color", "colour")
    return _SAME.get(key, key)


def _fact_in(clause: str) -> Fact | None:
    for pattern, key in _SELF:
        found = pattern.search(clause)
        if found:
            return Fact(key, _tidy(found["value"]), clause)
    for pattern in _STATEMENTS:
        found = pattern.search(clause)
        if found:
            named = found.groupdict()
            plural = named.get("verb") in ("are", "were", "são")
            what = name_for_you(named["whose"], named["key"]) if "whose" in named else ""
            return Fact(canonical(named["key"]), _tidy(named["value"], whole=plural), clause, what, plural)
    return None


def _tidy(value: str, *, whole: bool = False) -> str:
    """Cut what was added after the value itself; a plural may be a list with commas."""
    value = value if whole else value.split(", ", 1)[0]
    return value.strip(" \"'“”*`.,!")[:_LONGEST_VALUE]
