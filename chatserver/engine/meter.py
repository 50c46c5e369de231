"""What the model says on its way into the log: measured, and held to a bound."""

from collections.abc import Sequence

import orjson

from chatserver.engine.continuing import Beginning, Seam
from chatserver.engine.job import Job
from chatserver.generation.clock import Clock
from chatserver.generation.pieces import Delta, ToolCalls
from chatserver.telemetry.metrics import Metrics


class TextFullError(Exception):
    """The answer has reached our own bound on its length."""


class Meter:
    def __init__(
        self, job: Job, clock: Clock, metrics: Metrics, most_bytes: int, beginning: Beginning | None = None
    ) -> None:
        self._job = job
        self._clock = clock
        self._metrics = metrics
        self._left = most_bytes - (beginning.size if beginning else 0)
        self._seam = Seam(beginning.answer if beginning else "")
        self._asked = clock.now()
        # Of what another instance began, the first token came long ago.
        self._last: float | None = self._asked if beginning else None

    def take(self, pieces: Sequence[Delta | ToolCalls]) -> None:
        self._measure()
        pieces = self._seam.take(pieces)
        for piece in pieces:
            self._left -= len(piece.text.encode() if isinstance(piece, Delta) else orjson.dumps(piece.calls))
        if self._left < 0:
            raise TextFullError
        self._job.feed.extend(pieces)

    def _measure(self) -> None:
        now = self._clock.now()
        if self._last is None:
            self._job.first_token_ms = round(1000 * (now - self._asked))
            self._metrics.first_token(self._job.lane, now - self._asked)
        else:
            self._metrics.between_tokens(now - self._last)
        self._last = now
