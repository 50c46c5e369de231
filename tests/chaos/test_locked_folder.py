"""A data folder is one process's: a second start waits for the end of the first, then gives up or goes on."""

import asyncio
import time
from pathlib import Path

from tests.harness.client import Client, client_of, visitor_of
from tests.harness.processes import START_S, Process, running, server, simulator
from tests.harness.readers import read_whole
from tests.harness.received import Received

_IMPATIENT_S = 1


async def test_a_second_start_gives_up_or_goes_on_where_the_first_one_ends(tmp_path: Path) -> None:
    async with (
        running(simulator()) as model_server,
        running(_server(tmp_path, model_server, START_S)) as first,
    ):
        async with visitor_of(first.url) as visitor:
            whole = await read_whole(visitor, await visitor.ask("Hi. [[tokens=3]]"))
            ticket = await visitor.ticket(generation=whole.generation)
        await _check_gives_up(_server(tmp_path, model_server, _IMPATIENT_S), tmp_path, first)

        ending = asyncio.create_task(first.terminate())
        async with running(_server(tmp_path, model_server, START_S)) as second:
            assert await ending == 0
            # Cookies and tickets are good there, too.
            async with client_of(second.url, Cookie=visitor.cookies) as visitor:
                again = await read_whole(visitor, whole.generation)
            assert (again.answer, again.end) == (whole.answer, whole.end)
            async with client_of(second.url) as bearer:
                await _check_ticket(bearer, whole, ticket)


async def _check_gives_up(process: Process, data_dir: Path, holder: Process) -> None:
    since = time.monotonic()
    await process.launch()
    assert await process.wait() != 0
    assert time.monotonic() - since >= _IMPATIENT_S
    assert process.lines[-1] == (
        f"chatserver: The data folder {data_dir} is in use by process {holder.pid}; stop that one first, "
        "or choose another folder with CHATSERVER_DATA_DIR."
    )


async def _check_ticket(bearer: Client, whole: Received, ticket: str) -> None:
    """Of a log that is in no memory there is the whole, and the final position."""
    path = f"/generations/{whole.generation}/events?ticket={ticket}"
    assert (await bearer.call("GET", path))["events"][-1] == whole.end
    nothing = await bearer.call("GET", f"{path}&after={whole.after}")
    assert nothing == {"events": [], "after": whole.after, "ended": True}


def _server(data_dir: Path, model_server: Process, grace_s: float) -> Process:
    return server(data_dir, model_server.url, {"server.grace_s": grace_s})
