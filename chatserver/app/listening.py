"""The listening socket, with the options that every connection inherits from it."""

import resource
import socket

import structlog

from chatserver.errors import StartRefused

#: Milliseconds after which a peer that acknowledges nothing is taken for dead. Neither pings nor a
#: close get rid of one that stopped reading; this does.
_DEAD_AFTER_MS = 10_000
#: Bytes the kernel buffers for a slow reader, so that a stall shows early.
_SEND_BUFFER = 64 * 1024
_BACKLOG = 2048
#: Connections that are taken in one turn of the event loop.
_TAKEN_AT_ONCE = 8
#: File descriptors for everything that isn't a connection of a client: store, model servers, logs.
_OTHER_DESCRIPTORS = 1024

log = structlog.get_logger()


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    # asyncio sets it only on sockets that were made with a protocol number; a token must not wait for more.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartRefused(f"Can't listen on {host} port {port}: {error.strerror}.") from error
    listener.listen(_BACKLOG)
    return listener


def copies_of(listener: socket.socket) -> list[socket.socket]:
    """Give the listener as often as connections are to be taken in a turn of the event loop.

    libuv takes one from each socket it listens on; what comes faster waits in the kernel, unseen.
    """
    return [listener, *(listener.dup() for _ in range(_TAKEN_AT_ONCE - 1))]


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def allow_descriptors(sockets: int) -> None:
    """Have room for so many connections: without a descriptor for it none can even be refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + _OTHER_DESCRIPTORS
    if _is_below(soft, wanted):
        soft = hard if _is_below(hard, wanted) else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if _is_below(soft, wanted):
        log.warning(
            "few_descriptors", allowed=soft, wanted=wanted, mend="raise ulimit -n or lower limits.sockets"
        )


def _is_below(limit: int, wanted: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted
