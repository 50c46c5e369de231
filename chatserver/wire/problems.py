"""What a client is told when something went wrong: the same facts over HTTP and over a WebSocket."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from chatserver.errors import ChatserverError, Invalid

UNEXPECTED = "Something went wrong inside the server; its log tells more under this request_id."


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


def _told(error: Exception) -> ChatserverError:
    # The sentences of internal errors speak to us, not to clients.
    if isinstance(error, ChatserverError) and error.code != ChatserverError.code:
        return error
    return ChatserverError(UNEXPECTED)


# What pydantic says badly; everything else follows from its own sentence, see _sentence.
_PHRASES = {
    "missing": "is required",
    "union_tag_not_found": "is required",
    "union_tag_invalid": "should be one of {expected_tags}",
    "extra_forbidden": "isn't known here",
}
_MISSING = {"missing", "union_tag_not_found"}
_PREAMBLE = re.compile(r"^(Value error, |\w+ (?=should ))")
#: Characters of a name or sentence that may be made of what was sent.
_ECHO = 200


def invalid(error: ValidationError, given: Any) -> Invalid:
    """Turn pydantic's complaints about `given` into one sentence that names the field in dotted form."""
    complaints = error.errors(include_url=False, include_input=False)
    # Where a value may be several things, the branch that got furthest into it is the one that was meant.
    steps, worst = max(
        ((_steps(_place(each), given, missing=each["type"] in _MISSING), each) for each in complaints),
        key=lambda found: len(found[0]),
    )
    field = ".".join(steps)[:_ECHO]
    phrase = _PHRASES.get(worst["type"], "").format_map(worst.get("ctx", {}))
    return Invalid(_sentence(field, phrase or _PREAMBLE.sub("", worst["msg"])[:_ECHO]), field=field or None)


def _place(complaint: ErrorDetails) -> tuple[int | str, ...]:
    # A wrong or missing tag is told of the whole that it tags.
    tag = complaint.get("ctx", {}).get("discriminator")
    return complaint["loc"] if tag is None else (*complaint["loc"], tag.strip("'"))


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
