"""What happens around every call: it is counted, and a stream is shown the short way out."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatserver.telemetry.metrics import Metrics
from chatserver.transports.sse import PAST_MIDDLEWARE


class ShortWay:
    """Outermost: lets streams send past what is inside, whose functions each cost a part of every token."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[PAST_MIDDLEWARE] = send
        await self.app(scope, receive, send)


class CountRequests:
    """Counts HTTP calls by the template of their route, and refusals by their code."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        # Not async: a stream's every token passes here.
        def count(message: Message) -> object:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unknown")
                self._metrics.http_request(route, scope["method"], message["status"])
                if problem := scope.get("state", {}).get("problem"):
                    self._metrics.rejected(*problem)
            return send(message)

        return await self.app(scope, receive, count)  # type: ignore[arg-type]
