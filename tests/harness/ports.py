"""Ports of this machine: one that is free, and whether somebody listens yet."""

import asyncio
import socket

_LOOK_EVERY_S = 0.02


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


async def listening(port: int) -> None:
    """Wait until somebody does; the caller sets the deadline."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(_LOOK_EVERY_S)
        else:
            writer.close()
            return
