"""One of several processes that share a socket, started by their parent (`workers.py`).

`python -m chatserver.app.worker LISTENER CHANNEL`, both as descriptors.
"""

import asyncio
import socket
import sys

import uvloop

from chatserver.app.channel import Channel, Start
from chatserver.app.parent import Parent
from chatserver.app.serve import serve_on
from chatserver.errors import StartRefused
from chatserver.telemetry.logs import set_up_logging


async def _work(listener: socket.socket, connected: socket.socket) -> int:
    channel = await Channel.over(connected)
    start = await channel.receive()
    if not isinstance(start, Start):
        return 1
    settings = start.settings
    set_up_logging(settings.log.format, settings.log.level, worker=start.worker)
    return await serve_on(listener, settings, demo=start.demo, parent=Parent(channel))


def main(listener: int, channel: int) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_work(socket.socket(fileno=listener), socket.socket(fileno=channel)))
        except StartRefused as refusal:
            print(f"chatserver: {refusal.detail}", file=sys.stderr)  # noqa: T201 - as the command line says it
            return 2


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
