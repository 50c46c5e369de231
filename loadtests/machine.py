"""Where the figures were taken: they can be compared only with others from there."""

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loadtests import nginx
from tests.harness import postgres

_PACKAGES = (
    "aiohttp",
    "asyncpg",
    "httptools",
    "httpx",
    "httpx-aiohttp",
    "orjson",
    "sqlalchemy",
    "sse-starlette",
    "starlette",
    "uvicorn",
    "uvloop",
)


def describe(seed: int) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "cpu": _cpu_model(),
            "kernel": platform.release(),
            "load_before": os.getloadavg()[0],
        },
        "versions": {
            "commit": _commit(),
            "python": platform.python_version(),
            "nginx": nginx.version(),
            "postgresql": postgres.version(),
            "sqlite": sqlite3.sqlite_version,
            **{name: _version(name) for name in _PACKAGES},
        },
        "seed": seed,
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    """Name the commit, where this is a checkout."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()
