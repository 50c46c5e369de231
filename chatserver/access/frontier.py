"""Around every HTTP call: the name it was made by is checked, and browsers are told what they must not do."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatserver.access.hosts import Hosts

#: Unless the answer itself says more.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
#: As messages carry them.
_ENCODED = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
#: Probes call by whatever name the machine has.
_FOR_PROBES = ("/health/", "/metrics")


class SecurityHeaders:
    """Outermost, so that errors carry them too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)


class KnownHosts:
    """Refuses names that aren't ours; WebSockets are refused by their own close code."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self.app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(_FOR_PROBES):
            self._hosts.check(Headers(scope=scope).get("host", ""))
        await self.app(scope, receive, send)


def _with_headers(send: Send) -> Send:
    # Not async: a stream's every token passes here, and this hands it on without a coroutine of its own.
    def send_with_headers(message: Message) -> object:
        if message["type"] == "http.response.start":
            headers = message.setdefault("headers", [])
            given = {name for name, _ in headers}
            headers.extend(header for header in _ENCODED if header[0] not in given)
        return send(message)

    return send_with_headers  # type: ignore[return-value]
