"""The browser's part: its own tests, run by npm with what its lock file names."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

FRONTEND = Path(__file__).parents[2] / "frontend_shim"
#: Seconds that fetching packages or a run of tests may take.
_LONGEST_S = 240


async def npm(*arguments: str, **environment: str) -> None:
    """Run npm in the browser's part; what it says is what a failure shows."""
    assert shutil.which("npm"), "These tests need Node 20.19 or newer with npm; see https://nodejs.org"
    if not (FRONTEND / "node_modules" / ".package-lock.json").exists():
        await _run("npm", "ci", "--loglevel", "error")
    await _run("npm", *arguments, **environment)


def build_page() -> None:
    """Bring the chat page up to date, if it isn't."""
    built = subprocess.run(
        ["make", "--silent", "page"], cwd=FRONTEND.parent, capture_output=True, check=False
    )
    assert built.returncode == 0, built.stdout.decode() + built.stderr.decode()


async def _run(*command: str, **environment: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=FRONTEND,
        env={**os.environ, "NO_COLOR": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _LONGEST_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode(errors="replace")
