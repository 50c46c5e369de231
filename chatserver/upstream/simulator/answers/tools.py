"""Deciding by the words of a question which tool it asks for, and with which arguments."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatserver.upstream.simulator.answers.language import significant_words
from chatserver.upstream.simulator.answers.reading import Reading
from chatserver.upstream.simulator.answers.schema import instance_of, type_of
from chatserver.upstream.simulator.messages import Tool, ToolFunction

_QUOTED = re.compile(r"[\"'\u201c\u2018]([^\"'\u201d\u2019]{1,200})[\"'\u201d\u2019]")
#: Capitals after a small letter: not the first word of a sentence.
_NAME = re.compile(r"(?<=[a-zà-ÿ,] )[A-ZÀ-Þ][\w'-]*(?: [A-ZÀ-Þ][\w'-]*)*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
#: A name's word counts double; a question must share one of them, or two words of the description.
_NAME_WEIGHT, _ENOUGH = 2, 2


def calls_for(reading: Reading, tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Return the calls that the last question asks for: every tool it names, else the one it fits best."""
    if reading.tool_answers:
        return []
    functions = [tool.function for tool in tools]
    question = reading.question.lower()
    chosen = [function for function in functions if function.name.lower() in question]
    if not chosen:
        best = max(functions, key=lambda function: _score(function, reading.question), default=None)
        chosen = [best] if best and _score(best, reading.question) >= _ENOUGH else []
    return [_call(reading, number, function) for number, function in enumerate(chosen)]


def _score(function: ToolFunction, question: str) -> int:
    asked = set(significant_words(question))
    name = set(significant_words(re.sub(r"[_-]|(?<=[a-z])(?=[A-Z])", " ", function.name)))
    description = set(significant_words(function.description)) - name
    return _NAME_WEIGHT * len(name & asked) + len(description & asked)


def _call(reading: Reading, number: int, function: ToolFunction) -> dict[str, Any]:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    return {
        "id": "call_" + "".join(reading.rng.choices(letters, k=8)),
        "function": {
            "index": number,
            "name": function.name,
            "arguments": _arguments(function.parameters, reading.question),
        },
    }


def _arguments(parameters: Mapping[str, Any], question: str) -> dict[str, Any]:
    """Fill the required arguments from the question: quoted text and names first, numbers where they fit."""
    texts = iter([*_QUOTED.findall(question), *_NAME.findall(_QUOTED.sub("", question))])
    numbers = iter(_NUMBER.findall(question))
    properties = parameters.get("properties") or {}
    return {
        name: _argument(properties.get(name) or {}, question, texts, numbers)
        for name in parameters.get("required") or ()
    }


def _argument(schema: Any, question: str, texts: Iterator[str], numbers: Iterator[str]) -> Any:
    named = [value for value in schema.get("enum") or () if str(value).lower() in question.lower()]
    if named:
        return named[0]
    kind = "enum" if schema.get("enum") else type_of(schema)
    if kind == "string":
        return next(texts, question)
    if kind in ("integer", "number"):
        number = float(next(numbers, "1"))
        return int(number) if number.is_integer() else number
    return instance_of(schema)
