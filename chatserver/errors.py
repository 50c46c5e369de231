"""Every error the server can answer with, as one tree: its sentence, HTTP status and WebSocket close code.

ChatserverError
├── RequestError          what was asked can't be done; the caller can mend it
│   ├── MalformedRequest · Unsupported · Invalid ─ MalformedPosition, ContextTooLong
│   ├── Unauthenticated · Forbidden ─ ForeignOrigin, ForeignHost
│   ├── NotFound · MethodNotAllowed · RequestTimeout · PayloadTooLarge ─ HeadTooLarge
│   ├── Conflict ─ TurnInProgress, ModelChanged, NothingToRegenerate, NotFailed, KeyReused
│   ├── PreconditionFailed
│   └── TooMany
├── Unavailable           not now; nothing was stored; worth another try ─ Full, Draining,
│                         BackplaneUnavailable, StoreUnavailable ─ StoreInDoubt
├── UpstreamError         what a model server did to a generation ─ Unreachable, ModelNotFound,
│                         BadUpstreamRequest, UpstreamBusy, FirstTokenTimeout, Stalled, BadUpstreamData,
│                         NoDone
├── LogError              a broken promise of the log ─ GapInLog, LogEnded, StaleEpoch, BadSharedData
├── IllegalMove           a state change nobody allowed
├── Displaced             another process works in this one's place
└── StartRefused          the process can't start like this ─ SettingsError
"""

from typing import Any, ClassVar


class ChatserverError(Exception):
    """Something went wrong inside the server."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    #: What a WebSocket is closed with when this error ends the connection.
    close_code: ClassVar[int] = 1011

    def __init__(self, detail: str | None = None, *, setting: str = "", **facts: Any) -> None:
        self.detail = detail or (type(self).__doc__ or "").split("\n", 1)[0]
        #: The limit that was reached, where it is one; told to operators only.
        self.setting = setting
        #: Machine-readable members that stand beside `detail` in a problem document.
        self.facts = {name: value for name, value in facts.items() if value is not None}
        super().__init__(self.detail)


class RequestError(ChatserverError):
    """The request can't be served as it is."""

    status = 400
    code = "bad_request"
    title = "Bad request"
    close_code = 1008


class MalformedRequest(RequestError):
    """The request isn't well-formed JSON."""

    code = "malformed"


class Unsupported(RequestError):
    """Only application/json is taken here."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"


class Invalid(RequestError):
    """A field of the request has a value that isn't allowed."""

    status = 422
    code = "invalid"
    title = "Invalid request"

    def __init__(self, detail: str | None = None, *, field: str | None = None, **facts: Any) -> None:
        super().__init__(detail, field=field, **facts)


class MalformedPosition(Invalid):
    """A position is given back exactly as it was received; this one was not."""

    code = "malformed_position"


class ContextTooLong(Invalid):
    """The text is longer than the model's context."""

    code = "context_length"


class Unauthenticated(RequestError):
    """Who is asking isn't known."""

    status = 401
    code = "unauthenticated"
    title = "Not signed in"
    close_code = 4401


class Forbidden(RequestError):
    """This isn't allowed."""

    status = 403
    code = "forbidden"
    title = "Not allowed"
    close_code = 4403


class ForeignOrigin(Forbidden):
    """Pages of this origin may not call this server; its operator can add it to public_origins."""

    code = "foreign_origin"


class ForeignHost(Forbidden):
    """This server doesn't answer to that host name; its operator can add it to public_origins."""

    code = "foreign_host"


class NotFound(RequestError):
    """There is no such thing here."""

    status = 404
    code = "not_found"
    title = "Not found"


class MethodNotAllowed(RequestError):
    """This address doesn't answer to that method."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class RequestTimeout(RequestError):
    """The request came too slowly."""

    status = 408
    code = "request_timeout"
    title = "Request too slow"


class PayloadTooLarge(RequestError):
    """The request is larger than this server takes."""

    status = 413
    code = "too_large"
    title = "Too large"
    close_code = 1009


class HeadTooLarge(PayloadTooLarge):
    """The head of the request, its address and headers, is larger than this server takes."""

    status = 431
    code = "head_too_large"


class Conflict(RequestError):
    """The request doesn't fit the present state."""

    status = 409
    code = "conflict"
    title = "Conflict"


class TurnInProgress(Conflict):
    """An answer is still being made there; wait for its end or cancel it."""

    code = "turn_in_progress"

    def __init__(self, generation: str) -> None:
        super().__init__(generation=generation)


class ModelChanged(Conflict):
    """The conversation got another model meanwhile; send it again."""


class NothingToRegenerate(Conflict):
    """This conversation has no answer yet that could be made anew."""

    code = "nothing_to_regenerate"


class NotFailed(Conflict):
    """Only what failed can be retried."""

    code = "not_failed"


class KeyReused(Conflict):
    """This Idempotency-Key was used for a different request."""

    code = "key_reused"


class PreconditionFailed(RequestError):
    """It has changed since the version that If-Match names; read it again."""

    status = 412
    code = "precondition_failed"
    title = "Changed meanwhile"


class TooMany(RequestError):
    """Too many requests; wait a moment."""

    status = 429
    code = "too_many"
    title = "Too many requests"
    close_code = 4429

    def __init__(self, detail: str | None = None, *, retry_after: float, **facts: Any) -> None:
        super().__init__(detail, retry_after=retry_after, **facts)


class Unavailable(ChatserverError):
    """Not now; nothing was stored, try again in a moment."""

    status = 503
    code = "unavailable"
    title = "Unavailable"
    close_code = 1013
    #: Seconds after which another try is worth it.
    retry_after: ClassVar[float] = 1

    def __init__(self, detail: str | None = None, **facts: Any) -> None:
        super().__init__(detail, **{"retry_after": self.retry_after, **facts})


class Full(Unavailable):
    """The server has as much work as it can hold; nothing was stored, try again in a moment."""

    code = "full"
    retry_after = 5


class Draining(Unavailable):
    """The server is about to restart; nothing was stored, try again in a moment."""

    code = "draining"
    close_code = 1012
    retry_after = 2


class StoreUnavailable(Unavailable):
    """The database can't be written right now; nothing was stored, try again in a moment."""

    code = "store_unavailable"
    retry_after = 2


class StoreInDoubt(StoreUnavailable):
    """The database went away while this was stored: it may be there or not; ask again with the same key."""

    # Not 503: that means that nothing was stored, and proxies repeat what got it.
    status = 504
    title = "Outcome unknown"
    code = "store_in_doubt"


class BackplaneUnavailable(Unavailable):
    """Redis doesn't answer right now; try again in a moment."""

    code = "backplane_unavailable"
    retry_after = 2


class UpstreamError(ChatserverError):
    """The model server failed while it was answering."""

    status = 502
    code = "upstream_failed"
    title = "Model server failed"
    #: How a generation ends that this happens to.
    reason: ClassVar[str] = "upstream_error"
    #: Whether the same request may fare better another time.
    passing: ClassVar[bool] = True
    #: Whether another server may do better at once.
    elsewhere: ClassVar[bool] = True


class Unreachable(UpstreamError):
    """The model server can't be reached."""

    code = "unreachable"


class ModelNotFound(UpstreamError):
    """The model server doesn't have this model."""

    status = 404
    code = "model_not_found"
    passing = False


class BadUpstreamRequest(UpstreamError):
    """The model server refused the request."""

    code = "bad_request"
    passing = False
    elsewhere = False


class UpstreamBusy(UpstreamError):
    """The model server has too much to do."""

    code = "upstream_busy"


class FirstTokenTimeout(UpstreamError):
    """The model didn't begin to answer in time."""

    code = "first_token_timeout"


class Stalled(UpstreamError):
    """The model stopped in the middle of its answer."""

    code = "stalled"


class BadUpstreamData(UpstreamError):
    """The model server sent something that can't be read."""

    code = "bad_upstream_data"


class NoDone(UpstreamError):
    """The answer broke off: the model server ended it without saying that it was complete."""

    code = "no_done"
    reason = "upstream_truncated"


class LogError(ChatserverError):
    """A promise of the log was broken."""


class GapInLog(LogError):
    """A piece came whose predecessor is missing."""

    def __init__(self, expected: int, got: int) -> None:
        self.expected = expected
        self.got = got
        super().__init__(f"The next piece is {expected}, but {got} came.")


class LogEnded(LogError):
    """Nothing can follow the end of a log."""


class StaleEpoch(LogError):
    """Somebody else owns the log under a newer epoch."""


class BadSharedData(LogError):
    """What stands in a shared log wasn't written by this server."""


class IllegalMove(ChatserverError):
    """A generation was asked to move between two states that aren't joined."""


class Displaced(ChatserverError):
    """Another process has taken this one's place."""


class StartRefused(ChatserverError):
    """The server can't start like this."""


class SettingsError(StartRefused):
    """A setting is wrong."""
