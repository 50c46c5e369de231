"""Figures that were kept, so that a report can say what has become better or worse since."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.measures import Result

#: Digits kept of a figure; more would be noise.
_DIGITS = 4


class Baseline:
    """A small file, for each scenario its figures and where they were taken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def origin(self, scenario: str) -> dict[str, Any]:
        """Tell where and when the figures were taken; empty where there are none."""
        return dict(self._kept.get(scenario, {}).get("origin", {}))

    def changes(self, scenario: str, result: Result) -> dict[str, float]:
        """Give for each figure that was kept by how much it has changed: 0.1 is a tenth more."""
        kept = self._kept.get(scenario, {}).get("figures", {})
        return {
            name: figure.median / kept[name]["median"] - 1
            for name, figure in result.figures.items()
            if kept.get(name, {}).get("median")
        }

    def keep(self, scenario: str, result: Result, origin: Mapping[str, Any]) -> None:
        figures = {
            name: {
                "unit": figure.unit,
                **{at: _rounded(getattr(figure, at)) for at in ("median", "low", "high")},
            }
            for name, figure in result.figures.items()
        }
        self._kept[scenario] = {"origin": dict(origin), "figures": figures}
        self._path.write_text(json.dumps(self._kept, indent=1, sort_keys=True) + "\n")


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
