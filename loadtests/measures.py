"""What a scenario brings home: figures, requirements they have to meet, and plots."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One thing measured in every round."""

    unit: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


@dataclass(frozen=True)
class Requirement:
    """What has to be reached, and what was."""

    name: str
    #: In words: "at most 4 x".
    wanted: str
    reached: str
    passed: bool


@dataclass(frozen=True)
class Bars:
    """A bar for each name, with the spread over the rounds."""

    title: str
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Curves:
    """For each name the share of all values (down) that are at most so large (across)."""

    title: str
    unit: str
    samples: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Result:
    requirements: Sequence[Requirement]
    figures: Mapping[str, Figure]
    plots: Sequence[Bars | Curves] = ()
    #: What has to be known to judge the figures.
    notes: Sequence[str] = ()

    @property
    def passed(self) -> bool:
        return all(requirement.passed for requirement in self.requirements)


@dataclass(frozen=True)
class Plan:
    """How a scenario is to be run."""

    #: Each side is measured so many times, in turns.
    pairs: int
    seed: int
    #: Takes a line about what is going on.
    tell: Callable[[str], None] = field(default=print)


def at_most(name: str, bound: float, reached: float, unit: str, *, aim: float | None = None) -> Requirement:
    wish = "" if aim is None else f" (aim: {aim:g})"
    return Requirement(name, f"at most {bound:g} {unit}{wish}", f"{reached:.3g} {unit}", reached <= bound)


def at_least(name: str, bound: float, reached: float, unit: str) -> Requirement:
    return Requirement(name, f"at least {bound:g} {unit}", f"{reached:.3g} {unit}", reached >= bound)


def at_share(values: Sequence[float], share: float) -> float:
    """Give the value that such a share of all doesn't exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))] if ordered else 0.0


def percent_within(values: Sequence[float], bound: float) -> float:
    """Tell how many of all values are at most so large, in percent."""
    return 100 * bisect_right(sorted(values), bound) / len(values)


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Hold each value against the other one of its round."""
    return [value / other for value, other in zip(values, others, strict=True)]


def quantiles(values: Sequence[float], count: int = 200) -> list[float]:
    """Pick so many values, evenly by rank, the least and the largest among them."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return [ordered[round(last * step / count)] for step in range(count + 1)]
