"""What happens around every call: it is counted."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatserver.telemetry.metrics import Metrics


class CountRequests:
    """Counts HTTP calls by the template of their route, and refusals by their code."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        # Not async: what streams send passes here, where the short way out isn't free.
        def count(message: Message) -> object:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unknown")
                self._metrics.http_request(route, scope["method"], message["status"])
                if problem := scope.get("state", {}).get("problem"):
                    self._metrics.rejected(*problem)
            return send(message)

        return await self.app(scope, receive, count)  # type: ignore[arg-type]
