"""From what was read to what is said: the first rule that has an answer gives it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from chatserver.upstream.simulator.answers.markdown import formatted
from chatserver.upstream.simulator.answers.prose import tokens_asked_for, words_asked_for
from chatserver.upstream.simulator.answers.reading import Reading
from chatserver.upstream.simulator.answers.recall import acknowledge, admit, recall
from chatserver.upstream.simulator.answers.schema import instance_of
from chatserver.upstream.simulator.answers.summary import summarise
from chatserver.upstream.simulator.answers.talk import (
    be_polite,
    calculate,
    count,
    entitle,
    know,
    muse,
    repeat,
    tell_tool_answer,
    thank_for_picture,
    write_for_fun,
)
from chatserver.upstream.simulator.answers.tools import calls_for
from chatserver.upstream.simulator.messages import Tool
from chatserver.upstream.simulator.vocabulary import load_vocabulary

#: In this order: what was asked for in so many words comes before what can be guessed.
_RULES: tuple[Callable[[Reading], str | None], ...] = (
    repeat,
    count,
    tell_tool_answer,
    entitle,
    summarise,
    recall,
    calculate,
    words_asked_for,
    formatted,
    write_for_fun,
    thank_for_picture,
    acknowledge,
    be_polite,
    know,
    admit,
)
_THOUGHTS = 3


@dataclass(frozen=True)
class Answer:
    """What a model would say if nobody stopped it, in pieces of one token each."""

    pieces: Sequence[str] = ()
    thoughts: Sequence[str] = ()
    tool_calls: Sequence[dict[str, Any]] = field(default_factory=tuple)


def compose(reading: Reading, *, tools: Sequence[Tool] = (), form: Any = None, think: bool = False) -> Answer:
    """Answer the last question; `form` is Ollama's `format`: "json", a JSON schema, or nothing."""
    thoughts = _think(reading) if think else ()
    calls = calls_for(reading, tools) if tools else ()
    if calls:
        return Answer(thoughts=thoughts, tool_calls=calls)
    return Answer(pieces=_say(reading, form), thoughts=thoughts)


def continue_from(prefix: str, pieces: Sequence[str], *, diverging: bool) -> list[str]:
    """Return what follows `prefix` of an answer: the rest of it, or all of it where it began otherwise."""
    rest = _after(prefix, pieces)
    if rest is not None and not diverging:
        return rest
    if diverging:
        return list(pieces[len(load_vocabulary().encode(prefix)) :]) or list(pieces)
    return [" ", *pieces]


def _after(prefix: str, pieces: Sequence[str]) -> list[str] | None:
    """Return the pieces after `prefix`; one that the prefix ends inside of gives its remainder."""
    left = prefix
    for at, piece in enumerate(pieces):
        if not left:
            return list(pieces[at:])
        if len(left) < len(piece):
            return [piece[len(left) :], *pieces[at + 1 :]] if piece.startswith(left) else None
        if not left.startswith(piece):
            return None
        left = left[len(piece) :]
    return None if left else []


def _say(reading: Reading, form: Any) -> Sequence[str]:
    if form is not None:
        return load_vocabulary().pieces(_in_form(reading, form))
    exact = tokens_asked_for(reading)
    return exact if exact is not None else load_vocabulary().pieces(_write(reading))


def _write(reading: Reading) -> str:
    text = next((text for rule in _RULES if (text := rule(reading))), None) or muse(reading)
    if reading.attempt:
        beginnings = reading.speech.phrases["again"]
        text = beginnings[(reading.attempt - 1) % len(beginnings)] + text
    return text


def _in_form(reading: Reading, form: Any) -> str:
    value = (
        instance_of(form, "text" if not reading.attempt else f"text {reading.attempt + 1}")
        if isinstance(form, Mapping)
        else {"answer": _write(reading)}
    )
    return orjson.dumps(value).decode()


def _think(reading: Reading) -> list[str]:
    stock = reading.speech.phrases["thinking"]
    start = reading.seed + reading.attempt
    chosen = [stock[(start + step) % len(stock)] for step in range(_THOUGHTS)]
    return load_vocabulary().pieces(" ".join(chosen).format(topic=reading.topic))
