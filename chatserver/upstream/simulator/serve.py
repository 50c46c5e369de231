"""Serves a simulated Ollama: inside a running event loop, or as a process of its own."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
import uvloop
from uvicorn.server import ServerState

from chatserver.upstream.simulator.application import create_simulator
from chatserver.upstream.simulator.connection import SimulatorProtocol
from chatserver.upstream.simulator.options import SimulatorOptions

_BACKLOG = 2_048
#: Like Ollama, an idle connection is left to its client.
_KEEP_ALIVE_S = 3_600
#: Aborted connections end their work within a turn of the loop or two.
_FAREWELL_S = 5


@asynccontextmanager
async def serve_simulator(options: SimulatorOptions, sock: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve on `sock`, which is bound already (by default on a free loopback port), and yield the base URL.

    Neither signals nor logging are touched. At the end all connections are cut, whatever they carry.
    """
    sock = sock or bind("127.0.0.1", 0)
    # Inherited by every connection; asyncio sets it only on sockets that were made with a protocol number,
    # and without it each answer's first token waits 40 ms for the acknowledgement of its headers.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        create_simulator(options),
        http=SimulatorProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    config.load()
    state = ServerState()
    listener = await asyncio.get_running_loop().create_server(
        lambda: SimulatorProtocol(config=config, server_state=state, app_state={}),
        sock=sock,
        backlog=_BACKLOG,
    )
    try:
        yield address_of(sock)
    finally:
        listener.close()
        await _cut_connections(state)


def run(host: str, port: int, options: SimulatorOptions) -> None:
    """Serve until the process is told to stop; prints one line with the address."""
    uvloop.run(_run(host, port, options))


def bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def address_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _run(host: str, port: int, options: SimulatorOptions) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve_simulator(options, bind(host, port)) as url:
        # What is loaded now stays; collecting garbage need not look at it again.
        gc.freeze()
        sys.stdout.write(f"Simulated Ollama at {url}\n")
        sys.stdout.flush()
        await stop.wait()


async def _cut_connections(state: ServerState) -> None:
    for connection in list(state.connections):
        connection.transport.abort()
    if state.tasks:
        await asyncio.wait(state.tasks, timeout=_FAREWELL_S)
