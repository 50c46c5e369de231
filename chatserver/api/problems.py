"""Errors as their receivers see them: problem documents (RFC 9457) with their headers and the request id."""

import math
import re
import secrets
from collections.abc import Iterator
from typing import Any

import orjson
import structlog
from pydantic import ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from chatserver.errors import (
    ChatserverError,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestError,
    Unauthenticated,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
UNEXPECTED = "Something went wrong inside the server; its log tells more under this request_id."

#: Starlette's own errors by status; of any other one only the hundred is kept.
_HTTP_ERRORS: dict[int, type[ChatserverError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
}


def every_error(root: type[ChatserverError] = ChatserverError) -> Iterator[type[ChatserverError]]:
    """Walk the tree of errors, parents first, in the order they are written."""
    yield root
    for child in root.__subclasses__():
        yield from every_error(child)


def problem_type(code: str) -> str:
    return f"/docs/errors#{code}"


def problem_members(kind: type[ChatserverError], detail: str, request_id: str) -> dict[str, Any]:
    return {
        "type": problem_type(kind.code),
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": detail,
        "request_id": request_id,
    }


def problem_facts(error: Exception, request_id: str) -> dict[str, Any]:
    """Say what its receiver may know of `error`: the members of a problem document and the error's facts."""
    told = _told(error)
    members = problem_members(type(told), told.detail, request_id)
    return members | {name: value for name, value in told.facts.items() if name not in members}


def problem_response(error: Exception, request_id: str) -> Response:
    facts = problem_facts(error, request_id)
    return Response(
        orjson.dumps(facts, default=str),
        status_code=facts["status"],
        headers=_headers(facts),
        media_type=MEDIA_TYPE,
    )


def _told(error: Exception) -> ChatserverError:
    if isinstance(error, HTTPException):
        return _from_http(error)
    # The sentences of internal errors speak to us, not to clients.
    if isinstance(error, ChatserverError) and error.code != ChatserverError.code:
        return error
    return ChatserverError(UNEXPECTED)


def _from_http(error: HTTPException) -> ChatserverError:
    if error.status_code >= 500:
        return ChatserverError(UNEXPECTED)
    facts: dict[str, Any] = {}
    if error.status_code == MethodNotAllowed.status:
        facts["allow"] = sorted((error.headers or {}).get("Allow", "").split(", "))
    return _HTTP_ERRORS.get(error.status_code, RequestError)(**facts)


def _headers(facts: dict[str, Any]) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if "retry_after" in facts:
        headers["Retry-After"] = str(math.ceil(facts["retry_after"]))
    if facts["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if "allow" in facts:
        headers["Allow"] = ", ".join(facts["allow"])
    if facts["status"] == 408:
        # The rest of the request may still trickle in; nobody waits for it.
        headers["Connection"] = "close"
    return headers


# What pydantic says badly; everything else follows from its own sentence, see _sentence.
_PHRASES = {"missing": "is required", "extra_forbidden": "isn't known here"}
_PREAMBLE = re.compile(r"^(Value error, |\w+ (?=should ))")
#: Characters of a name or sentence that may be made of what was sent.
_ECHO = 200


def invalid(error: ValidationError, given: Any) -> Invalid:
    """Turn pydantic's complaints about `given` into one sentence that names the field in dotted form."""
    complaints = error.errors(include_url=False, include_context=False, include_input=False)
    # Where a value may be several things, the branch that got furthest into it is the one that was meant.
    steps, worst = max(
        ((_steps(each["loc"], given, missing=each["type"] == "missing"), each) for each in complaints),
        key=lambda found: len(found[0]),
    )
    field = ".".join(steps)[:_ECHO]
    message = _PHRASES.get(worst["type"]) or _PREAMBLE.sub("", worst["msg"])[:_ECHO]
    return Invalid(_sentence(field, message), field=field or None)


def _steps(loc: tuple[int | str, ...], given: Any, *, missing: bool) -> list[str]:
    # pydantic's path has steps of its own (union branches, discriminators); only what was sent counts.
    steps = []
    for depth, step in enumerate(loc, start=1):
        if isinstance(given, dict) and (step in given or (missing and depth == len(loc))):
            given = given.get(step)
        elif isinstance(given, list) and isinstance(step, int) and step < len(given):
            given = given[step]
        else:
            continue
        steps.append(str(step))
    return steps


def _sentence(field: str, message: str) -> str:
    message = message.rstrip(".")
    if message[:1].islower():
        return f"{field or 'The request'} {message}."
    return f"{field}: {message}." if field else f"{message}."


async def _answer(connection: HTTPConnection, error: Exception) -> Response:
    return _response(connection.scope, error)


#: For Starlette(exception_handlers=...): answers made next to the routes, so that every middleware sees them.
PROBLEM_HANDLERS: dict[Any, ExceptionHandler] = {HTTPException: _answer, ChatserverError: _answer}


def _response(scope: Scope, error: Exception) -> Response:
    request_id = request_id_of(scope)
    response = problem_response(error, request_id)
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

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
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

        async def send_with_id(message: Message) -> None:
            if message["type"] in _OPENINGS:
                message.setdefault("headers", [])
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            return await self.app(scope, receive, send_with_id)


def _given_id(scope: Scope) -> str | None:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else None
