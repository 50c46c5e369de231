"""The way Ollama says no: a status and one flat sentence."""

from typing import ClassVar

from chatserver.upstream.simulator.stats import Outcome

#: What a request is told that finds the queue for loading full; the two spaces are Ollama's.
SERVER_BUSY = "server busy, please try again.  maximum pending requests exceeded"


class Refusal(Exception):
    """The request gets this status and sentence instead of an answer."""

    outcome: ClassVar[Outcome] = "refused"

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Failure(Refusal):
    """The server fails the request because a fault says so."""

    outcome = "faulted"
