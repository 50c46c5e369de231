"""The report: one page for people, one JSON for programs, both made from the same results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from loadtests.measures import Figure, Requirement, Result
from loadtests.plots import plot

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #8886; }
figure { margin: 1.5rem 0; } figcaption { font-weight: 600; }
svg { max-width: 100%; font: 12px system-ui, sans-serif; }
.pass { color: #2e8540; } .fail { color: #c0392b; font-weight: 600; }
"""


@dataclass(frozen=True)
class Answered:
    """A scenario's result with what belongs beside it."""

    scenario: str
    question: str
    result: Result
    #: By how much figures have changed since the baseline, and where that was taken.
    changes: Mapping[str, float]
    baseline: Mapping[str, Any]


def write_report(folder: Path, origin: Mapping[str, Any], answered: Sequence[Answered]) -> Path:
    """Write both forms; gives the page."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {**origin, "scenarios": {one.scenario: _facts(one) for one in answered}}
    (folder / "report.json").write_text(json.dumps(facts, indent=1) + "\n")
    page = folder / "report.html"
    page.write_text(_page(origin, answered), encoding="utf-8")
    return page


def requirement_line(requirement: Requirement) -> str:
    verdict = "pass" if requirement.passed else "FAIL"
    return f"{verdict}  {requirement.name}: {requirement.reached} ({requirement.wanted})"


def _facts(one: Answered) -> dict[str, Any]:
    result = one.result
    return {
        "question": one.question,
        "passed": result.passed,
        "requirements": [asdict(requirement) for requirement in result.requirements],
        "figures": {
            name: {"unit": figure.unit, "median": figure.median, "values": list(figure.values)}
            for name, figure in result.figures.items()
        },
        "changes": dict(one.changes),
        "baseline": dict(one.baseline),
        "notes": list(result.notes),
    }


def _page(origin: Mapping[str, Any], answered: Sequence[Answered]) -> str:
    sections = "".join(_section(one, origin) for one in answered)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Load report</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><h1>Load report</h1>{sections}{_origin(origin)}"
    )


def _section(one: Answered, origin: Mapping[str, Any]) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in one.result.notes)
    return (
        f"<h2>{escape(one.question)}</h2>"
        f"{_requirements(one.result.requirements)}"
        f"{''.join(map(plot, one.result.plots))}"
        f"{_figures(one)}<p>{escape(_compared_with(one.baseline, origin))}</p><ul>{notes}</ul>"
    )


def _requirements(requirements: Sequence[Requirement]) -> str:
    rows = [
        [
            escape(one.name),
            escape(one.wanted),
            escape(one.reached),
            '<span class="pass">pass</span>' if one.passed else '<span class="fail">fail</span>',
        ]
        for one in requirements
    ]
    return _table(["required", "wanted", "reached", ""], rows)


def _figures(one: Answered) -> str:
    rows = [
        [escape(name), *_values(figure), _change(one.changes.get(name))]
        for name, figure in one.result.figures.items()
    ]
    return _table(["measured", "median", "least to most", "since the baseline"], rows)


def _values(figure: Figure) -> list[str]:
    return [f"{figure.median:.3g} {escape(figure.unit)}", f"{figure.low:.3g} to {figure.high:.3g}"]


def _change(change: float | None) -> str:
    return "" if change is None else f"{change:+.0%}"


def _compared_with(baseline: Mapping[str, Any], origin: Mapping[str, Any]) -> str:
    if not baseline:
        return "There is no baseline to compare with."
    here, there = origin["machine"], baseline["machine"]
    same = all(here[name] == there[name] for name in ("cores", "cpu"))
    machine = "" if same else " on another machine, so that only ratios can be compared"
    return f"The baseline was taken {baseline['date']} at {baseline['versions']['commit']}{machine}."


def _origin(origin: Mapping[str, Any]) -> str:
    facts = {
        "date": origin["date"],
        "seed": origin["seed"],
        **origin["machine"],
        **{f"version of {name}": version for name, version in origin["versions"].items()},
    }
    rows = [[escape(name), escape(str(value))] for name, value in facts.items()]
    return f"<h2>Where this was measured</h2>{_table(['', ''], rows)}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
