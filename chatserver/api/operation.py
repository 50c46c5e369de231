"""One call of the API, declared once: what it takes, what it answers, who handles it.

Its route is made here; its description is made from the same declaration.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, compile_path
from starlette.types import Receive, Scope, Send

from chatserver.api.bodies import read_model
from chatserver.errors import (
    ChatserverError,
    Invalid,
    KeyReused,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    RequestTimeout,
    Unsupported,
)
from chatserver.wire.problems import invalid

P = TypeVar("P", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)
B = TypeVar("B", bound=BaseModel)

#: Bytes of a query string; nothing that is asked here is longer.
QUERY_LIMIT = 8192
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,64}")


class Nothing(BaseModel, extra="forbid"):
    """The path, query or body of an operation that has none."""


@dataclass(frozen=True)
class Call(Generic[P, Q, B]):
    """What a handler gets: the request, and its parts as the operation's models."""

    request: Request
    path: P
    query: Q
    body: B
    idempotency_key: str | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One way in which a call turns out well."""

    description: str
    status: int = 200
    model: type[BaseModel] | None = None
    media_type: str = "application/json"
    #: A JSON value that fits the model; for a media type that isn't JSON the text itself.
    example: Any = None


@dataclass(frozen=True, kw_only=True)
class Operation(Generic[P, Q, B]):
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    #: As Starlette reads it: "/conversations/{id}". The fields of `path_model` have the same names.
    path: str
    #: Unique in the whole API; generated clients name their functions by it.
    name: str
    tag: str
    summary: str
    description: str = ""
    handler: Callable[[Call[P, Q, B]], Awaitable[BaseModel | Response]]
    #: The first gives the status of whatever model the handler returns.
    answers: tuple[Answer, ...]
    #: The errors it may answer with beside those that follow from its parts, see `all_errors`.
    errors: tuple[type[ChatserverError], ...] = ()
    path_model: type[P] | None = None
    query: type[Q] | None = None
    body: type[B] | None = None
    #: A JSON value that fits `body`.
    body_example: Any = None
    #: Bytes, and the setting that says so, where one does.
    body_limit: int = 64 * 1024
    body_setting: str = ""
    #: Whether it takes an Idempotency-Key.
    idempotent: bool = False
    #: Whether it takes a Last-Event-ID.
    resumable: bool = False
    #: Whether its answers carry an ETag: reads compare it with If-None-Match, changes with If-Match.
    tagged: bool = False
    #: Names of the security schemes any of which lets a caller in: () for everybody, None for the usual ones.
    security: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _, _, placeholders = compile_path(self.path)
        fields = set(self.path_model.model_fields) if self.path_model else set()
        if set(placeholders) != fields:
            raise ValueError(f"{self.name}: the path has {sorted(placeholders)}, its model {sorted(fields)}.")

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return compile_path(self.path)[1]

    @property
    def all_errors(self) -> tuple[type[ChatserverError], ...]:
        found = list(self.errors)
        if self.path_model:
            found.append(NotFound)
        if self.query:
            found += [MalformedRequest, Invalid, PayloadTooLarge]
        if self.body:
            found += [MalformedRequest, RequestTimeout, PayloadTooLarge, Unsupported, Invalid]
        if self.idempotent:
            found += [KeyReused, Invalid]
        if self.tagged and self.method != "GET":
            found += [PreconditionFailed, Invalid]
        return tuple(dict.fromkeys(found))

    async def respond(self, request: Request, body_timeout_s: float) -> Response:
        """Check the request, let the handler act, and give its answer the form it has on the wire."""
        result = await self.handler(await self._call(request, body_timeout_s))
        if isinstance(result, Response):
            return result
        return Response(
            result.model_dump_json(by_alias=True),
            status_code=self.answers[0].status,
            headers={"Cache-Control": "no-store"},
            media_type="application/json",
        )

    async def _call(self, request: Request, body_timeout_s: float) -> Call[Any, Any, Any]:
        # In this order, so that the cheapest refusal comes first and a body is read only for good reason.
        path = _path(self.path_model or Nothing, request.path_params)
        query = _query(self.query or Nothing, request.scope["query_string"])
        key = _idempotency_key(request.headers) if self.idempotent else None
        return Call(request, path, query, await self._body(request, body_timeout_s), key)

    async def _body(self, request: Request, timeout_s: float) -> BaseModel:
        if not self.body:
            return Nothing()
        return await read_model(
            request,
            self.body,
            limit=self.body_limit,
            deadline=timeout_s,
            setting=self.body_setting,
        )


AnyOperation = Operation[Any, Any, Any]


def _path(model: type[BaseModel], given: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate_strings(given)
    except ValidationError:
        # What can't be a name of anything names nothing.
        raise NotFound from None


def _query(model: type[BaseModel], raw: bytes) -> BaseModel:
    given = _pairs(raw) if raw else {}
    try:
        return model.model_validate_strings(given)
    except ValidationError as error:
        raise invalid(error, given) from None


def _pairs(raw: bytes) -> dict[str, str]:
    if len(raw) > QUERY_LIMIT:
        raise PayloadTooLarge(f"The query is longer than {QUERY_LIMIT} bytes.", limit=QUERY_LIMIT)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise MalformedRequest("The query isn't UTF-8.") from None
    given = dict(pairs)
    if len(given) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)[:100]
        raise Invalid(f"{twice} is given more than once.", field=twice)
    return given


def _idempotency_key(headers: Headers) -> str | None:
    key = headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Invalid("Idempotency-Key must be 1 to 64 visible ASCII characters.", field="Idempotency-Key")
    return key


def routes(operations: Iterable[AnyOperation], body_timeout_s: float) -> list[Route]:
    """One route for each path, so that a 405 can name every method the path knows.

    `body_timeout_s`: seconds in which a request's body has to be here.
    """
    by_path: dict[str, dict[str, AnyOperation]] = {}
    for operation in operations:
        methods = by_path.setdefault(operation.path, {})
        if operation.method in methods:
            raise ValueError(f"{operation.method} {operation.path} is declared twice.")
        methods[operation.method] = operation
    return [
        Route(path, _Endpoint(methods, body_timeout_s), methods=list(methods))
        for path, methods in by_path.items()
    ]


class _Endpoint:
    """The operations of one path, as an ASGI application.

    Starlette would wrap a function once more to look for errors, and every event of a stream with it.
    """

    def __init__(self, methods: Mapping[str, AnyOperation], body_timeout_s: float) -> None:
        self._methods = methods
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(Request(scope, receive, send))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method != "HEAD":
            return await self._methods[request.method].respond(request, self._body_timeout_s)
        response = await self._methods["GET"].respond(request, self._body_timeout_s)
        # A stream would run although nobody gets it.
        return response if hasattr(response, "body") else _HeadersAlone(response)


class _HeadersAlone(Response):
    def __init__(self, streaming: Response) -> None:
        self.status_code = streaming.status_code
        self.raw_headers = streaming.raw_headers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b""})
