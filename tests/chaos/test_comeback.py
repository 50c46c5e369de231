"""After a power cut the server may be back before the model servers: what it owes waits for them."""

from itertools import cycle
from pathlib import Path

from tests.harness.client import visitor_of
from tests.harness.processes import running, server, simulator
from tests.harness.readers import TRANSPORTS, read_through
from tests.harness.received import Received


async def test_what_was_left_waits_until_a_model_server_answers(tmp_path: Path) -> None:
    async with (
        running(simulator("--rate", "40")) as model_server,
        running(server(tmp_path, model_server.url)) as process,
        visitor_of(process.url) as client,
    ):
        generation = await client.ask("Long. [[tokens=60]]")
        await process.kill()
        await model_server.kill()
        await process.restart()
        # Nothing has failed for want of a model.
        assert (await client.generation(generation))["status"] == "running"
        await model_server.restart()
        received = await read_through(client, Received(generation), cycle(TRANSPORTS))
        assert received.end is not None
        assert received.end["reason"] == "completed"
