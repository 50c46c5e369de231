"""The commands as they are started: each in a process of its own."""

import asyncio
import signal
import subprocess
import sys

import httpx

from tests.harness.processes import running, server


def test_it_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "chatserver", "config"], capture_output=True, text=True, check=True
    )
    assert "server.port" in ran.stdout


def test_the_simulator_answers_as_ollama_does_until_told_to_stop() -> None:
    command = [sys.executable, "-m", "chatserver", "simulate-ollama", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().split()[-1]
        assert "version" in httpx.get(f"{url}/api/version", trust_env=False).json()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


async def test_a_server_that_is_told_to_stop_while_it_begins_or_ends_does_so_in_order(tmp_path) -> None:
    process = server(tmp_path, "http://127.0.0.1:1")
    for _ in range(3):
        async with running(process):
            for _ in range(3):
                process.signal(signal.SIGTERM)
                await asyncio.sleep(0)
            assert await process.wait() == 0
        assert process.complaints == []
