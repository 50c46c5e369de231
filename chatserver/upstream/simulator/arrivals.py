"""What happens to every request before its endpoint: counting, Host and Origin checks, hanging up."""

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chatserver.upstream.simulator.connection import connection_of, until_disconnected
from chatserver.upstream.simulator.faults import FaultBoard
from chatserver.upstream.simulator.player import respond
from chatserver.upstream.simulator.stats import Stats

#: The simulator's own controls, which are never counted and never fail.
CONTROLS = "/_sim/"
_COUNTED = frozenset(
    f"/api/{name}" for name in ("chat", "generate", "embed", "embeddings", "tags", "show", "ps", "version")
) | {"/"}
#: OLLAMA_ORIGINS where nobody has set it.
_ORIGINS = re.compile(
    r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?|(app|file|tauri|vscode-webview|vscode-file)://.*"
)
_LOCAL_NAMES = ("localhost", ".localhost", ".local", ".internal")


class Arrivals:
    """ASGI middleware in front of all endpoints."""

    def __init__(self, app: ASGIApp, *, stats: Stats, board: FaultBoard) -> None:
        self._app = app
        self._stats = stats
        self._board = board

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROLS):
            await self._app(scope, receive, send)
            return
        self._stats.requests[scope["path"] if scope["path"] in _COUNTED else "other"] += 1
        self._stats.changed()
        if not is_allowed(Headers(scope=scope), scope["server"][0]):
            await respond(send, 403, b"")
        elif self._board.draw(("refuse",)):
            await refuse_connection(scope, receive)
        else:
            await self._app(scope, receive, send)


async def refuse_connection(scope: Scope, receive: Receive) -> None:
    """Hang up without a response, and stay until the server knows that the client is gone."""
    connection_of(scope).hang_up()
    await until_disconnected(receive)


def is_allowed(headers: Headers, served_at: str) -> bool:
    """Tell whether Ollama, reached at this address of its own, would let a request with these headers in."""
    origin = headers.get("origin")
    if origin is not None and not _ORIGINS.fullmatch(origin):
        return False
    if not ipaddress.ip_address(served_at).is_loopback:
        return True
    host = re.sub(r":\d+$", "", headers.get("host", "")).strip("[]").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in ("", "localhost") or host.endswith(_LOCAL_NAMES)
    return address.is_loopback or address.is_private or address.is_unspecified
