"""Log lines: JSON for machines, readable in a terminal, the same whoever logs.

Facts bound with `structlog.contextvars` (request_id, generation, tenant) stand in each of them.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import Processor

from chatserver.telemetry.masking import mask

#: Loggers whose ordinary lines say what ours say better, one per request or connection.
_CHATTY = ("uvicorn", "httpx", "httpcore", "alembic", "asyncio")
_MESSAGE_LENGTH = 300
#: The innermost frames say what happened; an endless recursion has a thousand.
_FRAMES = 30


def set_up_logging(
    format: Literal["auto", "json", "console"],  # noqa: A002 - the setting's name
    level: Literal["debug", "info", "warning", "error"],
    stream: TextIO | None = None,
    worker: int | None = None,
) -> None:
    """Route structlog and the standard library's logging through one handler on `stream` (standard error).

    `worker`: the number of this process, where it is one of several.
    """
    stream = stream or sys.stderr
    readable = format == "console" or (format == "auto" and stream.isatty())
    ending = _readable_line(colors=stream.isatty()) if readable else _json_line()
    shared = [*_shared(), *([] if worker is None else [_of_worker(worker)])]
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    # It warns of each thing that isn't HTTP, as often as somebody sends one; the metrics count them.
    logging.getLogger("uvicorn.error").setLevel(max(number, logging.ERROR))
    logging.captureWarnings(capture=True)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_exception,
        mask,
    ]


def _of_worker(number: int) -> Processor:
    def add(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["worker"] = number
        return event

    return add


def _readable_line(*, colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )


def _json_line() -> Processor:
    # Escapes whatever isn't ASCII, so that a line is one line and any text can be written.
    return structlog.processors.JSONRenderer()


def _add_exception(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Turn exc_info into text: where it happened, and of each message the first line.

    Further lines of validation and database errors repeat the values they are about, which people wrote.
    """
    error = _error(event.pop("exc_info", None))
    if error is not None:
        event["exception"] = "\n".join(_told(error))
    return event


def _error(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1]  # type: ignore[no-any-return]
    return sys.exc_info()[1] if exc_info else None


def _told(error: BaseException) -> list[str]:
    """The chain of errors, the cause first, as Python tells it but without long messages."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [*_told(cause), "then:"] if cause is not None else []
    lines += [
        f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
    ]
    first, _, _ = str(error).partition("\n")
    lines.append(f"{type(error).__name__}: {first[:_MESSAGE_LENGTH]}")
    for inner in getattr(error, "exceptions", ()):
        lines += [f"  | {line}" for line in _told(inner)]
    return lines
