"""What the endpoints take, read the way Ollama reads it, with its sentences where it can't."""

import math
import re
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from chatserver.upstream.simulator.messages import Body, Image, Message, Tool
from chatserver.upstream.simulator.refusals import Refusal

_LEVELS = ("high", "medium", "low", "max")
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def parse_keep_alive(value: Any) -> float:
    """Return seconds, infinite for a negative value; strings are Go durations ("5m", "1h30m")."""
    if isinstance(value, str):
        sign, spelled = (-1, value[1:]) if value.startswith("-") else (1, value.removeprefix("+"))
        parts = _DURATION.findall(spelled)
        if spelled != "0" and (not parts or "".join(map("".join, parts)) != spelled):
            raise ValueError(f'time: invalid duration "{value}"')
        seconds = sign * sum(float(number) * _SECONDS[unit] for number, unit in parts)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    else:
        # Pydantic reports only a ValueError as a wrong value.
        raise ValueError(f"Unsupported type: '{type(value).__name__}'")  # noqa: TRY004
    return math.inf if seconds < 0 else seconds


def _check_think(value: Any) -> bool | str:
    if isinstance(value, bool) or value in _LEVELS:
        return value  # type: ignore[no-any-return]
    known = '"high", "medium", "low", "max", true, or false'
    if isinstance(value, str):
        raise ValueError(f'invalid think value: "{value}" (must be {known})')  # noqa: TRY004
    raise ValueError(f"think must be a boolean or string ({known})")


def _check_form(value: Any) -> Any:
    if value in ("", "json") or isinstance(value, dict):
        return value or None
    raise ValueError(f'invalid format: {value!r}; expected "json" or a valid JSON Schema object')


KeepAlive = Annotated[float | None, BeforeValidator(parse_keep_alive)]


class ModelRequest(Body):
    """What every request to a model carries."""

    model: str = ""
    keep_alive: KeepAlive = None
    options: dict[str, Any] = Field(default_factory=dict)
    truncate: bool = True


class CompletionRequest(ModelRequest):
    """What chat and generate have in common."""

    stream: bool = True
    form: Annotated[Any, BeforeValidator(_check_form)] = Field(default=None, alias="format")
    think: Annotated[bool | str | None, BeforeValidator(_check_think)] = None
    shift: bool = True
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")


class ChatRequest(CompletionRequest):
    """The body of `/api/chat`."""

    messages: list[Message] = Field(default_factory=list)
    tools: list[Tool] = Field(default_factory=list)


class GenerateRequest(CompletionRequest):
    """The body of `/api/generate`."""

    prompt: str = ""
    suffix: str = ""
    system: str = ""
    context: list[int] = Field(default_factory=list)
    raw: bool = False
    images: list[Image] = Field(default_factory=list)


class EmbedRequest(ModelRequest):
    """The body of `/api/embed`."""

    input: str | list[str] = ""
    dimensions: int = 0


class EmbeddingRequest(ModelRequest):
    """The body of the older `/api/embeddings`."""

    prompt: str = ""


class ShowRequest(Body):
    """The body of `/api/show`."""

    model: str = ""
    name: str = ""
    verbose: bool = False


AnyBody = TypeVar("AnyBody", bound=Body)


def parse_body(kind: type[AnyBody], body: bytes) -> AnyBody:
    """Read a request's body, or refuse it."""
    if not body.strip():
        raise Refusal(400, "missing request body")
    try:
        return kind.model_validate_json(body)
    except ValidationError as problem:
        raise Refusal(400, _sentence(problem)) from problem


def _sentence(problem: ValidationError) -> str:
    first = problem.errors(include_url=False)[0]
    if "error" in first.get("ctx", {}) and first["type"] != "json_invalid":
        return str(first["ctx"]["error"])
    if first["type"] == "json_invalid":
        return f"invalid JSON: {first['ctx']['error']}"
    if first["loc"] == ("top_logprobs",):
        return "top_logprobs must be between 0 and 20"
    where = ".".join(str(step) for step in first["loc"])
    return f"json: cannot unmarshal {where or 'the body'}: {first['msg'].lower()}"
