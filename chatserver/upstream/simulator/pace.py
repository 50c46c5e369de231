"""When each token of an answer is due: fixed from the start, so that a late wake-up costs nothing."""

from dataclasses import dataclass

#: Most tokens in one write: an answer without a rate must let others have the loop.
MOST_AT_ONCE = 64
#: Timers are good to a millisecond; what is due within one is due now.
_TIMER_GRAIN_S = 0.001


@dataclass(frozen=True, slots=True)
class Pace:
    """The schedule of one answer, in seconds of the loop's clock."""

    first: float
    #: Tokens a second; None is as fast as it goes.
    rate: float | None

    def due(self, number: int) -> float:
        """Return when token `number` is due, counted from 0."""
        return self.first if self.rate is None else self.first + number / self.rate

    def ready(self, sent: int, now: float) -> int:
        """Return how many tokens are due at `now` that were not sent yet; 0 or less if none is."""
        late = now + _TIMER_GRAIN_S - self.first
        if late < 0:
            return 0
        if self.rate is None:
            return MOST_AT_ONCE
        return min(int(late * self.rate) + 1 - sent, MOST_AT_ONCE)
