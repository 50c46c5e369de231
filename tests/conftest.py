"""For all tests: seeded chance, clean log lines, and figures that are shown at the end of the run."""

import os
import random
from collections.abc import Callable, Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _names_nobody_in_logs() -> Iterator[None]:
    """Leave no tenant or user of one test on the log lines of the next."""
    yield
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def rng(record_property: Callable[[str, object], None]) -> random.Random:
    """Chance that can be had again: the seed is shown, and taken from TEST_SEED."""
    seed = int(os.environ.get("TEST_SEED", random.randrange(2**32)))
    record_property("TEST_SEED", seed)
    return random.Random(seed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests recorded, whether they passed or not."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    told = [(report, name, value) for report in reports for name, value in report.user_properties]
    if told:
        terminalreporter.section("figures")
    for report, name, value in told:
        terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {name} {value}")
