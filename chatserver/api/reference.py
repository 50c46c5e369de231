"""What is said about the API as a whole."""

from collections.abc import Iterable
from typing import Any

from chatserver.api.frames import ConversationFrame, Frame
from chatserver.api.openapi import Api
from chatserver.api.operation import Operation
from chatserver.errors import ChatserverError, ForeignHost, ForeignOrigin, Unauthenticated
from chatserver.transports.messages import ClientMessage

HOW_TO_USE = """\
How another program uses this server.

- Send and expect JSON in UTF-8; no text has the NUL character. A field or query parameter that isn't known
  here is refused by its name.
- What went wrong comes as `application/problem+json`. Decide by `code`, show `detail` to people, and keep
  `request_id`: the server's log tells more under it. Every code has its line under [errors](/docs/errors).
- A call can be refused before it is looked at: with 400 what isn't HTTP, with 408 and 431 a head that comes
  too slowly or is too large, with 503 a connection too many.
- After 429 and 503 wait as many seconds as `Retry-After` says. Nothing was stored.
- On a POST that creates something, send an `Idempotency-Key` of your own and repeat the request as often as
  the network makes you: the work is done once, and the answer is the same.
- An answer is a log, and whoever reads it holds a position in it. Give back the last `id` you saw, over any
  transport, and you get what follows, nothing twice.
- Ids and positions are opaque. Times are RFC 3339 in UTC. New fields may appear in answers: pass over what
  you don't know.
- Send `X-Request-ID` to find your own id in the server's log; it comes back with every answer."""
_WEBSOCKET = """\
`GET /api/v1/ws`, subprotocol `chatserver.v1`: text frames, one JSON object each. The server opens with
`ready`. A client sends what `ClientMessage` describes; answers are `accepted`, `ok`, `pong` or `error`, then
come the frames of whatever it follows. Close codes: 1001, 1006, 1011, 1012 and 1013 mean reconnect; 4401:
fetch a fresh ticket first; 4403: stop; 4429: that was too much at once.
"""
_STREAMS = """\
One log per generation; every way of reading it carries the same frames. Give back the last `id` you saw to go
on from there, over any transport. Deltas are provisional, `end` is a commit.
"""
WEBSOCKET_PATH = "/api/v1/ws"
_OPEN_WEBSOCKET = {
    "get": {
        "operationId": "open_websocket",
        "tags": ["WebSocket"],
        "summary": "Open the WebSocket",
        "description": "Whoever may not is let in and told why by the code of the close; a browser sees no "
        "other answer. Without an upgrade there is nothing here.",
        "parameters": [
            {
                "name": "ticket",
                "in": "query",
                "required": False,
                "description": "Where no cookie can be sent, see `POST /tickets`.",
                "schema": {"type": "string", "maxLength": 512},
            }
        ],
        "responses": {
            "101": {"description": "The protocol is switched; then frames."},
            "403": {"$ref": "#/components/responses/ForeignHost"},
            "404": {"$ref": "#/components/responses/NotFound"},
        },
    }
}
_TAGS = {
    "Conversations": "Conversations, their messages, and sending one.",
    "Generations": "Work for a model, with or without a conversation: hand in, look, stop.",
    "Streams": _STREAMS,
    "WebSocket": _WEBSOCKET,
    "Entrance": "Tickets and models.",
    "Page": "The chat page.",
    "Operating": "Health and figures.",
}


def api_of(operations: Iterable[Operation[Any, Any, Any]], body_timeout_s: float) -> Api:
    return Api(
        title="Chatserver",
        operations=tuple(operations),
        body_timeout_s=body_timeout_s,
        description=HOW_TO_USE,
        tags=_TAGS,
        security_schemes={
            "visitor": {"type": "apiKey", "in": "cookie", "name": "chatserver"},
            "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
        },
        errors_everywhere=(ChatserverError, Unauthenticated, ForeignOrigin, ForeignHost),
        paths={WEBSOCKET_PATH: _OPEN_WEBSOCKET},
        models_sent=(Frame, ConversationFrame),
        models_received=(ClientMessage,),
    )
