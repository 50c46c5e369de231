"""Errors as their receivers see them: problem documents (RFC 9457) with their headers and the request id."""

import math
import re
import secrets
from typing import Any

import orjson
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from chatserver.errors import (
    ChatserverError,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestError,
    TooMany,
    Unauthenticated,
)
from chatserver.wire.problems import problem_facts

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Starlette's own errors by status; of any other one only the hundred is kept.
_HTTP_ERRORS: dict[int, type[ChatserverError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
}


def problem_response(error: Exception, request_id: str) -> Response:
    facts = problem_facts(_from_http(error) if isinstance(error, HTTPException) else error, request_id)
    return Response(
        orjson.dumps(facts, default=str),
        status_code=facts["status"],
        headers=_headers(facts),
        media_type=MEDIA_TYPE,
    )


def _from_http(error: HTTPException) -> ChatserverError:
    if error.status_code >= 500:
        return ChatserverError()
    facts: dict[str, Any] = {}
    if error.status_code == MethodNotAllowed.status:
        facts["allow"] = sorted((error.headers or {}).get("Allow", "").split(", "))
    return _HTTP_ERRORS.get(error.status_code, RequestError)(**facts)


def _headers(facts: dict[str, Any]) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if "retry_after" in facts:
        headers["Retry-After"] = str(math.ceil(facts["retry_after"]))
    if facts["status"] == TooMany.status and "limit" in facts:
        headers["RateLimit-Limit"] = str(facts["limit"])
        headers["RateLimit-Remaining"] = "0"
        headers["RateLimit-Reset"] = headers["Retry-After"]
    if facts["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if "allow" in facts:
        headers["Allow"] = ", ".join(facts["allow"])
    if facts["status"] == 408:
        # The rest of the request may still trickle in; nobody waits for it.
        headers["Connection"] = "close"
    return headers


async def _answer(connection: HTTPConnection, error: Exception) -> Response:
    return _response(connection.scope, error)


#: For Starlette(exception_handlers=...): answers made next to the routes, so that every middleware sees them.
PROBLEM_HANDLERS: dict[Any, ExceptionHandler] = {HTTPException: _answer, ChatserverError: _answer}


def _response(scope: Scope, error: Exception) -> Response:
    request_id = request_id_of(scope)
    told = _from_http(error) if isinstance(error, HTTPException) else error
    response = problem_response(told, request_id)
    # For whoever counts what is refused.
    scope.setdefault("state", {})["problem"] = (
        (told.code, told.setting) if isinstance(told, ChatserverError) else (ChatserverError.code, "")
    )
    if response.status_code == ChatserverError.status:
        log.error(
            "unexpected_error",
            request_id=request_id,
            method=scope.get("method"),
            path=scope["path"],
            exc_info=error,
        )
    return response


class Problems:
    """Answers what nothing nearer has answered: errors of other middleware, and everything unexpected."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = False

        # Not async: a stream's every token passes here, and is handed on without a coroutine of its own.
        def watch(message: Message) -> object:
            nonlocal begun
            begun = True
            return send(message)

        try:
            await self.app(scope, receive, watch)  # type: ignore[arg-type]
        except ClientDisconnect:
            return None
        except Exception as error:  # noqa: BLE001 - the last place where anything can be answered
            response = _response(scope, error)
            # A response that has begun stays unfinished: the server cuts its connection, so the client knows.
            if not begun:
                await response(scope, receive, send)
        return None


_REQUEST_ID = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")
_OPENINGS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


def request_id_of(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


class RequestId:
    """Gives each call an id, the caller's own where it is a sane one: in its state, logs and X-Request-ID."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        request_id = _given_id(scope) or secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id

        # Not async for the same reason as in Problems.
        def send_with_id(message: Message) -> object:
            if message["type"] in _OPENINGS:
                message.setdefault("headers", [])
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            return send(message)

        # Never unbound: each call is a task, and so has a context of its own.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        return await self.app(scope, receive, send_with_id)  # type: ignore[arg-type]


def _given_id(scope: Scope) -> str | None:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else None
