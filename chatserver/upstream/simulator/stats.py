"""What the simulated server has seen and is doing, for tests that must know."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import orjson

_MOST_REQUESTS = 500
#: Pictures make bodies long; the first part tells what it was.
_LONGEST_KEPT_BODY = 65_536

#: Answered to its end; its client left before the end; spoiled by a fault; got a refusal.
Outcome = Literal["served", "cancelled", "faulted", "refused"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Stats:
    """Counters since the start, gauges of now, and the last bodies."""

    def __init__(self) -> None:
        #: Answers that hold a slot.
        self.in_flight = 0
        #: Requests that wait for a model to be loaded or for a slot.
        self.waiting = 0
        #: Requests for an answer by how they ended.
        self.outcomes: Counter[Outcome] = Counter()
        self.loads = 0
        #: Pieces sent in all answers.
        self.tokens = 0
        self.requests: Counter[str] = Counter()
        self._kept: deque[tuple[str, bytes]] = deque(maxlen=_MOST_REQUESTS)
        self._watchers: set[asyncio.Event] = set()

    def ended(self, outcome: Outcome) -> None:
        self.outcomes[outcome] += 1
        self.changed()

    @contextmanager
    def one_waiting(self) -> Iterator[None]:
        self.waiting += 1
        self.changed()
        try:
            yield
        finally:
            self.waiting -= 1
            self.changed()

    @contextmanager
    def one_in_flight(self) -> Iterator[None]:
        self.in_flight += 1
        self.changed()
        try:
            yield
        finally:
            self.in_flight -= 1
            self.changed()

    def keep(self, path: str, body: bytes) -> None:
        self._kept.append((path, body[:_LONGEST_KEPT_BODY]))

    def last_requests(self, count: int) -> list[dict[str, Any]]:
        """Return the last bodies, oldest first."""
        return [
            {"path": path, "body": _as_json(body)} for path, body in list(self._kept)[-count:] if count > 0
        ]

    def snapshot(self) -> dict[str, Any]:
        return {
            "in_flight": self.in_flight,
            "waiting": self.waiting,
            **{outcome: self.outcomes[outcome] for outcome in OUTCOMES},
            "loads": self.loads,
            "tokens": self.tokens,
            "requests": dict(self.requests),
        }

    def changed(self) -> None:
        """Tell whoever waits that a number is another one now."""
        for watcher in self._watchers:
            watcher.set()

    async def wait_for(self, wanted: Mapping[str, int], seconds: float) -> None:
        """Return when all `wanted` numbers are as said, or when the time is over."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        try:
            async with asyncio.timeout(seconds):
                while not self._is(wanted):
                    await watcher.wait()
                    watcher.clear()
        except TimeoutError:
            pass
        finally:
            self._watchers.discard(watcher)

    def _is(self, wanted: Mapping[str, int]) -> bool:
        now = self.snapshot()
        return all(now.get(name) == number for name, number in wanted.items())


def _as_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")
