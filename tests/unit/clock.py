"""A clock that moves when a test says so."""


class MovedClock:
    def __init__(self, now: float = 1000.0) -> None:
        self._now = now

    def move(self, seconds: float) -> None:
        self._now += seconds

    def now(self) -> float:
        return self._now

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + round(1000 * self._now)
