import json
from html.parser import HTMLParser
from pathlib import Path

from loadtests.baseline import Baseline
from loadtests.measures import Bars, Curves, Figure, Result, at_most
from loadtests.report import Answered, write_report

ORIGIN = {
    "date": "2026-01-15 09:30 UTC",
    "machine": {"cores": 2, "cpu": "some", "kernel": "6.1", "load_before": 0.5},
    "versions": {"commit": "abc", "python": "3.11"},
    "seed": 7,
}
COSTS = {"ours <b>": Figure("µs", [30.0, 31.0]), "theirs": Figure("µs", [10.0, 12.0])}
RESULT = Result(
    [at_most("against theirs", 2, 2.8, "x")],
    COSTS,
    [Bars("Costs", COSTS), Curves("Delays", "ms", {"ours": [1.0, 2.0, 3.0], "theirs": [0.5, 0.6, 0.7]})],
    ["A note."],
)


class Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str | None] = []

    def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name in ("src", "href")]


def answered(baseline: Baseline) -> Answered:
    return Answered("cost", "What is it?", RESULT, baseline.changes("cost", RESULT), baseline.origin("cost"))


def test_page_and_json_show_the_same_result(tmp_path: Path):
    page = write_report(tmp_path, ORIGIN, [answered(Baseline(tmp_path / "none.json"))]).read_text()
    facts = json.loads((tmp_path / "report.json").read_text())["scenarios"]["cost"]
    assert facts["requirements"][0]["passed"] is False
    assert facts["figures"]["theirs"] == {"unit": "µs", "median": 11.0, "values": [10.0, 12.0]}
    assert "What is it?" in page
    assert "2.8 x" in page
    assert page.count("<svg") == 2
    assert "There is no baseline" in page


def test_a_page_needs_nothing_from_anywhere(tmp_path: Path):
    page = write_report(tmp_path, ORIGIN, [answered(Baseline(tmp_path / "none.json"))]).read_text()
    addresses = Addresses()
    addresses.feed(page)
    assert addresses.found == []
    assert "url(" not in page


def test_names_are_text_in_the_page(tmp_path: Path):
    page = write_report(tmp_path, ORIGIN, [answered(Baseline(tmp_path / "none.json"))]).read_text()
    assert "ours <b>" not in page
    assert "ours &lt;b&gt;" in page


def test_a_kept_baseline_tells_by_how_much_figures_have_changed(tmp_path: Path):
    kept = Baseline(tmp_path / "baseline.json")
    kept.keep("cost", Result([], {"theirs": Figure("µs", [10.0])}), ORIGIN)
    again = Baseline(tmp_path / "baseline.json")
    assert again.changes("cost", RESULT) == {"theirs": 11.0 / 10.0 - 1}
    assert again.origin("cost") == ORIGIN


def test_figures_from_another_machine_are_called_so(tmp_path: Path):
    kept = Baseline(tmp_path / "baseline.json")
    kept.keep("cost", RESULT, {**ORIGIN, "machine": {**ORIGIN["machine"], "cores": 64}})
    page = write_report(tmp_path, ORIGIN, [answered(kept)]).read_text()
    assert "on another machine" in page
