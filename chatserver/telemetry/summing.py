"""The figures of several processes as those of one server."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

#: A sample's name and its labels, and its value.
Sample: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Family:
    """One figure with all its labels."""

    name: str
    kind: str
    text: str
    samples: dict[Sample, float] = field(default_factory=dict)

    def add(self, other: "Family") -> None:
        for sample, value in other.samples.items():
            before = self.samples.get(sample)
            self.samples[sample] = value if before is None else self._joined(before, value)

    def _joined(self, one: float, other: float) -> float:
        # How long something takes, or when it began, isn't longer or later because there are two.
        return max(one, other) if self.kind == "gauge" and self.name.endswith("_seconds") else one + other


Figures: TypeAlias = list[Family]


def figures_of(registry: CollectorRegistry) -> Figures:
    """Take down what stands on a registry now."""
    return [_family(metric) for metric in registry.collect()]


def total(each: Iterable[Figures]) -> Figures:
    families: dict[str, Family] = {}
    for family in (family for figures in each for family in figures):
        families.setdefault(family.name, Family(family.name, family.kind, family.text)).add(family)
    return list(families.values())


def lasting(figures: Figures) -> Figures:
    """Keep what stays true when the process has ended: what it has counted, not how it was."""
    return [family for family in figures if family.kind != "gauge"]


def rendered(figures: Figures) -> bytes:
    """Write them as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(_TakenDown(figures))
    return generate_latest(registry)


def _family(metric: Metric) -> Family:
    samples = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in metric.samples}
    return Family(metric.name, metric.type, metric.documentation, samples)


class _TakenDown(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for family in self._figures:
            metric = Metric(family.name, family.text, family.kind)
            for (name, labels), value in family.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric
