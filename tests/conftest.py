"""For all tests: seeded chance, clean log lines, and figures that are shown at the end of the run."""

import asyncio
import gc
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres

# What takes long to import is imported where it is needed: the process that hands unit tests to others needs
# nothing of it.

_UNIT = Path(__file__).with_name("unit")
#: More would spend longer on starting than they save.
_MOST_WORKERS = 4
#: Files in memory, and the least that has to be free there: much more than unit tests have at a time.
_MEMORY, _LEAST_FREE_BYTES = Path("/dev/shm"), 256 * 2**20

# What is compiled is kept, whatever the environment says: else every process of a run, and every server that
# one starts, compiles all modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# structlog's own way to show an error, with the values of all variables, can take a second.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


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


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file that is up to date, to copy: bringing one up to date takes longer."""
    from chatserver.storage.migration import upgrade_file

    path = tmp_path_factory.mktemp("empty") / "empty.db"
    upgrade_file(path, lock_wait_s=1)
    return path


@pytest.fixture
def database_file(empty_database: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "chat.db"))


@pytest.fixture(scope="session")
def postgres() -> Iterator["Postgres"]:
    from tests.harness.postgres import running_postgres

    with running_postgres() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def postgres_template(postgres: "Postgres") -> str:
    """A database that is up to date, to make others like it."""
    from chatserver.storage.migration import upgrade_server
    from chatserver.storage.options import DatabaseOptions

    name = postgres.create()
    asyncio.run(upgrade_server(postgres.address(name), DatabaseOptions()))
    return name


@pytest.fixture(scope="session")
def _shared_database(postgres: "Postgres", postgres_template: str) -> str:
    return postgres.create(postgres_template)


@pytest.fixture
def postgres_database(postgres: "Postgres", _shared_database: str) -> str:
    """The address of a database that is up to date and empty: emptying one is quicker than making one."""
    postgres.empty(_shared_database)
    return postgres.address(_shared_database)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Share all unit tests among the cores; others measure, or start servers which need the cores."""
    asked = _asked(config)
    # One more than there are cores: a fifth of the time each waits for something.
    return min(len(os.sched_getaffinity(0)) + 1, _MOST_WORKERS) if asked == [_UNIT] else 0


def _asked(config: pytest.Config) -> list[Path]:
    return [
        (config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args
    ]


def _in_memory(config: pytest.Config) -> bool:
    """Say whether the tests' files go to memory: for unit tests alone, which make hundreds of small ones."""
    return (
        all(asked.is_relative_to(_UNIT) for asked in _asked(config))
        and os.access(_MEMORY, os.W_OK)
        and shutil.disk_usage(_MEMORY).free > _LEAST_FREE_BYTES
    )


def pytest_configure(config: pytest.Config) -> None:
    if _in_memory(config):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
    # Looking for garbage among all that is imported takes seconds, and it stays anyway.
    gc.set_threshold(100_000)


def pytest_collection_finish() -> None:
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests recorded, whether they passed or not."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    told = [(report, name, value) for report in reports for name, value in report.user_properties]
    if told:
        terminalreporter.section("figures")
    for report, name, value in told:
        terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {name} {value}")
