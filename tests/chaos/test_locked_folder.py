"""A data folder is one process's: a second start waits for the end of the first, then gives up or goes on."""

import asyncio
import time
from pathlib import Path

from tests.harness.client import client_of
from tests.harness.processes import START_S, Process, running, server, simulator
from tests.harness.readers import read_whole

_GRACE_S = 1.0


async def test_a_second_start_waits_and_then_says_who_is_in_its_way(tmp_path: Path) -> None:
    async with (
        running(simulator()) as model_server,
        running(_server(tmp_path, model_server, _GRACE_S)) as first,
    ):
        second = _server(tmp_path, model_server, _GRACE_S)
        since = time.monotonic()
        await second.launch()
        assert await second.wait() != 0
        assert time.monotonic() - since >= _GRACE_S
        assert second.lines[-1] == (
            f"chatserver: The data folder {tmp_path} is in use by process {first.pid}; stop that one first, "
            "or choose another folder with CHATSERVER_DATA_DIR."
        )
        # The first has felt nothing.
        async with client_of(first.url) as client:
            await read_whole(client, await client.ask("Hi. [[tokens=3]]"))


async def test_a_second_start_goes_on_where_the_first_one_ends(tmp_path: Path) -> None:
    async with (
        running(simulator()) as model_server,
        running(_server(tmp_path, model_server, START_S)) as first,
    ):
        async with client_of(first.url) as client:
            generation = await client.ask("Hi. [[tokens=3]]")
            whole = await read_whole(client, generation)
        second = _server(tmp_path, model_server, START_S)
        listening = await second.launch()
        assert await first.terminate() == 0
        async with asyncio.timeout(START_S):
            await listening.wait()
        async with client_of(second.url) as client:
            assert (await read_whole(client, generation)).end == whole.end
        assert await second.terminate() == 0


def _server(data_dir: Path, model_server: Process, grace_s: float) -> Process:
    return server(data_dir, model_server.url, {"server.grace_s": grace_s})
