"""Conversations in a line: what was said in turn, and what a model makes of it."""

from collections.abc import Callable

import pytest

from chatserver.upstream.simulator.answers.compose import compose
from chatserver.upstream.simulator.answers.reading import Reading
from chatserver.upstream.simulator.messages import Message

Ask = Callable[..., str]


def read(*said: str, system: str = "", seed: int = 1, attempt: int = 0) -> Reading:
    """Read a conversation in which person and model take turns, the person first."""
    messages = [Message(role="system", content=system)] if system else []
    roles = ("user", "assistant")
    messages += [Message(role=roles[at % 2], content=text) for at, text in enumerate(said)]
    return Reading("sim-chat", messages, seed, attempt)


@pytest.fixture
def reading() -> Callable[..., Reading]:
    return read


@pytest.fixture
def ask() -> Ask:
    def ask_for_text(*said: str, form: object = None, **how) -> str:
        return "".join(compose(read(*said, **how), form=form).pieces)

    return ask_for_text
