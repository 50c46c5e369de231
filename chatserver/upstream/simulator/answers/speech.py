"""The phrases of one language, read from the texts that are shipped with the package."""

import random
import tomllib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from chatserver.upstream.simulator.answers.language import Language


@dataclass(frozen=True)
class Topic:
    """Something the simulated models know about, and the words that ask for it."""

    text: str
    any: frozenset[str]
    all: frozenset[str]

    def fits(self, words: AbstractSet[str]) -> bool:
        return bool(self.any & words) or (bool(self.all) and self.all <= words)


@dataclass(frozen=True)
class Program:
    """A small program to show, and the words that ask for it."""

    fence: str
    words: frozenset[str]
    text: str


@dataclass(frozen=True)
class Speech:
    """Everything that can be said in one language."""

    phrases: dict[str, list[str]]
    table: dict[str, Any]
    list_items: list[str]
    writing: dict[str, list[str]]
    knowledge: list[Topic]

    def say(self, rng: random.Random, phrase: str, **values: object) -> str:
        return rng.choice(self.phrases[phrase]).format(**values)


@cache
def speech(language: Language) -> Speech:
    texts = _read(f"{language}.toml")
    return Speech(
        phrases=texts["phrases"],
        table=texts["table"],
        list_items=texts["lists"]["items"],
        writing=texts["writing"],
        knowledge=[
            Topic(topic["text"], frozenset(topic.get("any", ())), frozenset(topic.get("all", ())))
            for topic in texts["knowledge"]
        ],
    )


@cache
def programs() -> list[Program]:
    """Return the programs, those for a named task first."""
    known = [
        Program(entry.get("fence", name), frozenset(entry["words"]), entry["text"].strip("\n"))
        for name, entry in _read("code.toml").items()
    ]
    return sorted(known, key=lambda program: "NAME" in program.text)


def _read(name: str) -> dict[str, Any]:
    text = files("chatserver.upstream.simulator").joinpath("texts", name).read_text(encoding="utf-8")
    return tomllib.loads(text)
