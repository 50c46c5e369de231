"""Lists, tables and code, when somebody asks for them."""

import re
from collections.abc import Callable
from itertools import cycle, islice
from operator import itemgetter

from chatserver.upstream.simulator.answers.language import significant_words
from chatserver.upstream.simulator.answers.reading import Reading
from chatserver.upstream.simulator.answers.speech import Program, programs

_LIST = re.compile(
    r"\b(?:lists?|bullets?|bullet points?|steps?|tips|ideas|listas?|liste|passos|dicas|ideias)\b",
    re.IGNORECASE,
)
_TABLE = re.compile(r"\b(?:tables?|compare|tabelas?)\b|\bvs\.? ", re.IGNORECASE)
_CODE = re.compile(
    r"\b(?:code(?! words?)|script|program|snippet|código|programa"
    r"|(?:python|javascript|typescript|bash|sql|shell) (?:function|query|example)|função|function in \w+)\b",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"\b(\d{1,3}|two|three|four|five|six|seven|ten|dois|duas|três|quatro|cinco|seis|sete|dez)\b",
    re.IGNORECASE,
)
_NUMBERS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10,
    "dois": 2, "duas": 2, "três": 3, "quatro": 4, "cinco": 5, "seis": 6, "sete": 7, "dez": 10,
}  # fmt: skip
_NAMED = re.compile(
    r"(?:\b(?:compare|between|entre|(?:lists?|tables?|listas?|tabelas?) (?:of|with|de|com))|:)\s+"
    r"(?P<items>(?!\d)[^.?!:]+?(?:,| and | e | vs\.? | ou | or )[^.?!]+?)"
    r"\s*(?:,? (?:then|in an?|em uma?)\b|[.?!]|$)",
    re.IGNORECASE,
)
_ITEM_END = re.compile(r",\s*(?:and |e )?| and | e | vs\.? | or | ou ", re.IGNORECASE)
_DEFAULT_COUNT = 3
_MOST_ITEMS = 50
_LONGEST_ITEM = 60


def formatted(reading: Reading) -> str | None:
    """Write each form that is asked for, in the order in which it is asked for."""
    found = [(pattern.search(reading.question), write) for pattern, write in _FORMS]
    asked = sorted(((match.start(), write) for match, write in found if match), key=itemgetter(0))
    return "\n\n".join(write(reading) for _, write in asked) or None


def write_list(reading: Reading) -> str:
    named = _named_items(reading.question)
    stock = reading.speech.list_items
    count = len(named) or _count(reading.question)
    start = reading.rng.randrange(len(stock))
    tips = islice(cycle(stock), start, start + count)
    lines = [f"{at}. {item}" for at, item in enumerate(named or tips, 1)]
    intro = reading.say("named_intro" if named else "list_intro", count=count, topic="{topic}")
    return "\n".join([intro, "", *lines]).replace("{topic}", reading.topic)


def write_table(reading: Reading) -> str:
    stock = reading.speech.table
    named = _named_items(reading.question)
    rows = [list(row) for row in islice(stock["cells"], len(named) or _count(reading.question))]
    for item, row in zip(named, rows, strict=False):
        row[0] = item
    lines = ["| " + " | ".join(row) + " |" for row in (stock["compare" if named else "columns"], *rows)]
    lines.insert(1, "| --- | --- | --- |")
    intro = reading.say("named_intro" if named else "table_intro", topic=reading.topic)
    return "\n".join([intro, "", *lines])


def write_code(reading: Reading) -> str:
    program = _program(reading.question)
    name = "_".join(significant_words(reading.topic)[:3]) or "example"
    code = program.text.replace("NAME", re.sub(r"\W", "_", name))
    return f"{reading.say('code_intro')}\n\n```{program.fence}\n{code}\n```"


_FORMS: tuple[tuple[re.Pattern[str], Callable[[Reading], str]], ...] = (
    (_LIST, write_list),
    (_TABLE, write_table),
    (_CODE, write_code),
)


def _program(question: str) -> Program:
    words = set(re.findall(r"\w+", question.lower()))
    known = programs()
    fitting = (program for program in known if program.words & words)
    return next(fitting, next(program for program in known if "NAME" in program.text))


def _count(question: str) -> int:
    found = _COUNT.search(question)
    if not found:
        return _DEFAULT_COUNT
    word = found[1].lower()
    return max(1, min(_NUMBERS.get(word) or int(word), _MOST_ITEMS))


def _named_items(question: str) -> list[str]:
    """Return what a question names itself: "compare tea and coffee", "a list of bread, milk and eggs"."""
    found = _NAMED.search(question)
    if not found:
        return []
    items = [item.strip() for item in _ITEM_END.split(found["items"])]
    return [item for item in items if item and len(item) <= _LONGEST_ITEM][:_MOST_ITEMS]
