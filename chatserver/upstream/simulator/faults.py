"""What can go wrong on purpose: the names, how often, and which request it hits."""

import random
from collections.abc import Collection
from dataclasses import dataclass

#: Every fault and what it does, as the command line's help shows it.
FAULTS = {
    "refuse": "close the connection before any response, for every request",
    "slow-first-token": "wait 60 s before the first token",
    "stall": "stop in mid-answer and keep the connection open",
    "cut": "end the response cleanly in mid-answer, without a done line",
    "error-line": "send an error line in mid-answer and end",
    "status-500": "answer 500",
    "status-503": "answer 503, as a server with a full queue does",
    "garbage": "send a line that is no JSON in mid-answer, and go on",
    "repeat": "repeat one token until the repetition guard ends the response cleanly, without a done line",
    "drop": "reset the TCP connection in mid-answer",
    "endless": "never end the answer",
    "endless-line": "begin a line in mid-answer and never end it, but go on sending bytes of it",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and the share of requests that it hits."""

    name: str
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"there is no fault {self.name!r}; there are {', '.join(FAULTS)}")
        if not 0 <= self.rate <= 1:
            raise ValueError(f"the rate of {self.name!r} must be from 0 to 1, not {self.rate}")

    def __str__(self) -> str:
        return self.name if self.rate == 1 else f"{self.name}:{self.rate:g}"


def parse_fault(text: str) -> Fault:
    """Read `name` (always) or `name:rate`."""
    name, colon, rate = text.partition(":")
    if not colon:
        return Fault(name)
    try:
        return Fault(name, float(rate))
    except ValueError as problem:
        if name not in FAULTS or "rate" in str(problem):
            raise
        raise ValueError(f"the rate of {name!r} must be a number, not {rate!r}") from problem


class FaultBoard:
    """The faults in force, and the seeded dice that decide which request they hit."""

    def __init__(self, faults: Collection[Fault], seed: int) -> None:
        self.faults = tuple(faults)
        self._rng = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def draw(self, names: Collection[str], *wished: Fault) -> str | None:
        """Return what hits this request: a fault that it wishes for itself, or one of `names` in force."""
        for fault in (*wished, *(fault for fault in self.faults if fault.name in names)):
            if fault.rate == 1 or self._rng.random() < fault.rate:
                return fault.name
        return None
