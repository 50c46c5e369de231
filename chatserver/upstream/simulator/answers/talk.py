"""Small talk, small sums, and what little the simulated models know."""

import operator
import re
from collections.abc import Callable

from chatserver.upstream.simulator.answers.language import significant_words
from chatserver.upstream.simulator.answers.reading import Reading

_COURTESIES = (
    (r"\b(?:who|what) are you\b|\bquem é você\b|\bo que é você\b|\byour name\b|\bseu nome\b", "identity"),
    (r"\bwhat can you do\b|\bhelp$|\bhow can you help\b|\bo que você (?:faz|pode)\b|\bajuda$", "help"),
    (r"\bhow are you\b|\bhow do you do\b|\bcomo vai\b|\btudo bem\b|\bcomo você está\b", "fine"),
    (r"^(?:many )?thank|^thanks|^obrigad[oa]|^valeu", "thanks"),
    (r"\bgood ?bye\b|^bye\b|\bsee you\b|^tchau|^até (?:logo|mais|breve|amanhã)", "goodbye"),
    (
        r"^(?:hi|hello|hey|good (?:morning|afternoon|evening)|olá|oi|bom dia|boa (?:tarde|noite))\b",
        "greeting",
    ),
)
#: A courtesy in a longer message is only its polite beginning.
_LONGEST_COURTESY = 8
_WRITINGS = (
    (r"\b(?:story|história|conto)\b", "story", " "),
    (r"\b(?:poem|haiku|poema|poesia|verses?)\b", "poem", "  \n"),
)
_JOKE = re.compile(r"\b(?:joke|piada)\b", re.IGNORECASE)
_SUM = re.compile(
    r"(?<![\d.-])(-?\d{1,9}(?:\.\d{1,6})?)\s*([-+*/x\u00d7\u00f7])\s*(-?\d{1,9}(?:\.\d{1,6})?)(?![\d.-]*\d)"
)
_CALCULATE = re.compile(r"what|how much|calc|comput|quanto|=|^[\s\d.+*/x\u00d7\u00f7-]+\??$", re.IGNORECASE)
_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "x": operator.mul,
    "\u00d7": operator.mul,
    "/": operator.truediv,
    "\u00f7": operator.truediv,
}
_REPEAT = re.compile(
    r"^(?:please )?(?:repeat(?: after me)?|say|reply with|repita|diga)(?: exactly| exatamente)?"
    r"\s*:\s*(?P<text>.+)",
    re.IGNORECASE | re.DOTALL,
)
_COUNTING = re.compile(
    r"\b(?:count|conte) (?:(?:from|de) (\d{1,4}) )?(?:up )?(?:to|até|a) (\d{1,4})\b", re.IGNORECASE
)
_TITLE = re.compile(r"\b(?:title|título)\b", re.IGNORECASE)
_LONGEST_TITLE = 5
_MOST_TOPICS = 3


def repeat(reading: Reading) -> str | None:
    found = _REPEAT.match(reading.question)
    return found["text"].strip() if found else None


def count(reading: Reading) -> str | None:
    found = _COUNTING.search(reading.question)
    return ", ".join(map(str, range(int(found[1] or 1), int(found[2]) + 1))) or None if found else None


def entitle(reading: Reading) -> str | None:
    """Name the conversation by the words that matter in what was first asked."""
    if not _TITLE.search(reading.question.partition("\n")[0]):
        return None
    brought = reading.question.partition("\n")[2]
    first = next((message.content for message in reading.earlier if message.role == "user"), "")
    words = significant_words(brought or first or _TITLE.sub("", reading.question))
    title = " ".join(dict.fromkeys(words[: 2 * _LONGEST_TITLE]))
    return " ".join(title.split()[:_LONGEST_TITLE]).capitalize() or reading.say("title")


def calculate(reading: Reading) -> str | None:
    found = _SUM.search(reading.question)
    if not found or not _CALCULATE.search(reading.question):
        return None
    left, sign, right = found.groups()
    try:
        value = _OPERATIONS[sign](float(left), float(right))
    except ZeroDivisionError:
        return None
    return reading.say("sum", expression=f"{left} {sign} {right}", value=f"{value:.10g}")


def write_for_fun(reading: Reading) -> str | None:
    if _JOKE.search(reading.question):
        return reading.rng.choice(reading.speech.writing["jokes"])
    for pattern, name, between in _WRITINGS:
        if re.search(pattern, reading.question, re.IGNORECASE):
            return between.join(reading.speech.writing[name])
    return None


def be_polite(reading: Reading) -> str | None:
    question = reading.question.strip(" .!?,")
    if len(question.split()) > _LONGEST_COURTESY:
        return None
    for pattern, phrase in _COURTESIES:
        if re.search(pattern, question, re.IGNORECASE):
            return reading.say(phrase, model=reading.model)
    return None


def tell_tool_answer(reading: Reading) -> str | None:
    answers = [
        reading.say("tool_result", tool=f"`{message.tool_name or 'tool'}`", value=message.content)
        for message in reading.tool_answers
    ]
    return "\n\n".join(answers) or None


def thank_for_picture(reading: Reading) -> str | None:
    return reading.say("picture", tokens=reading.picture_tokens) if reading.picture_tokens else None


def know(reading: Reading) -> str | None:
    """Tell what is known about the question's words."""
    words = set(re.findall(r"[\w-]+", reading.question.lower()))
    fitting = [topic.text for topic in reading.speech.knowledge if topic.fits(words)]
    return "\n\n".join(fitting[:_MOST_TOPICS]) or None


def muse(reading: Reading) -> str:
    """Say something friendly about whatever it is."""
    if reading.topic in reading.speech.phrases["that"]:
        return reading.say("unsure")
    return f"{reading.say('default', topic=reading.topic)}\n\n{reading.say('default_note')}"
