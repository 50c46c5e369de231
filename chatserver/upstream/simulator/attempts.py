"""How often the same request came before, so that a later attempt can differ from the first."""

from collections import OrderedDict

_MOST_REQUESTS = 10_000


class Attempts:
    """Counts of the latest requests, by their seed."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, int] = OrderedDict()

    def count(self, seed: int) -> int:
        """Return how often `seed` was counted before."""
        before = self._seen.pop(seed, 0)
        self._seen[seed] = before + 1
        if len(self._seen) > _MOST_REQUESTS:
            self._seen.popitem(last=False)
        return before
