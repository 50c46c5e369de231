import io
import json
import logging
import warnings

import pytest
import structlog
from pydantic import BaseModel

from chatserver.telemetry.logs import set_up_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    root = logging.getLogger()
    handlers, level, structured = root.handlers[:], root.level, structlog.get_config()
    yield
    logging.captureWarnings(capture=False)
    structlog.configure(**structured)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_its_level_time_logger_and_bound_facts(stream) -> None:
    set_up_logging("json", "info", stream)
    with structlog.contextvars.bound_contextvars(request_id="r1", generation="gen_1"):
        structlog.get_logger("chatserver.engine").info("accepted", tokens=3)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "accepted",
        "level": "info",
        "logger": "chatserver.engine",
        "request_id": "r1",
        "generation": "gen_1",
        "tokens": 3,
    }


def test_lines_of_the_standard_library_look_the_same_and_are_masked(stream) -> None:
    set_up_logging("json", "info", stream)
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        logging.getLogger("asyncio").warning("%s closed", "/ws?ticket=abc")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["request_id"]) == ("/ws?ticket=*** closed", "warning", "r1")


def test_lines_below_the_level_and_those_said_better_elsewhere_are_left_out(stream) -> None:
    set_up_logging("json", "info", stream)
    structlog.get_logger().debug("detail")
    logging.getLogger("uvicorn.access").info("GET /")
    logging.getLogger("httpx").info("HTTP Request")
    assert lines(stream) == []


def test_any_text_stays_on_its_line(stream) -> None:
    set_up_logging("json", "info", stream)
    structlog.get_logger().info("two\nlines", name="ü\ud800\u2028")
    (line,) = lines(stream)
    assert (line["event"], line["name"]) == ("two\nlines", "ü\ud800\u2028")


def test_warnings_are_log_lines(stream) -> None:
    set_up_logging("json", "info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("careful", stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "UserWarning: careful" in lines(stream)[0]["event"]


class Typed(BaseModel):
    number: int


def test_an_exception_tells_where_and_why_but_not_the_values_it_is_about(stream) -> None:
    set_up_logging("json", "info", stream)
    private = "what somebody wrote"
    try:
        try:
            Typed.model_validate({"number": private})
        except ValueError as error:
            raise RuntimeError("Not taken.\n" + private) from error
    except RuntimeError:
        structlog.get_logger().exception("failed")
    (line,) = lines(stream)
    told = line["exception"].splitlines()
    assert "ValidationError: 1 validation error for Typed" in told
    assert told[-1] == "RuntimeError: Not taken."
    assert "test_logs.py" in told[-2]
    assert private not in line["exception"]


def test_a_group_tells_of_every_error_in_it(stream) -> None:
    set_up_logging("json", "info", stream)
    group = ExceptionGroup("two", [ValueError("first"), KeyError("second")])
    logging.getLogger("chatserver").error("failed", exc_info=group)
    told = lines(stream)[0]["exception"]
    assert "  | ValueError: first" in told
    assert "  | KeyError: 'second'" in told


def test_an_endless_recursion_is_told_by_its_innermost_frames(stream) -> None:
    def recurse() -> None:
        recurse()

    set_up_logging("json", "info", stream)
    try:
        recurse()
    except RecursionError:
        structlog.get_logger().exception("failed")
    assert len(lines(stream)[0]["exception"].splitlines()) == 31


def test_auto_is_readable_in_a_terminal_and_json_elsewhere(stream) -> None:
    set_up_logging("auto", "info", stream)
    structlog.get_logger().info("hello")
    assert lines(stream)[0]["event"] == "hello"
    terminal = Terminal()
    set_up_logging("auto", "info", terminal)
    structlog.get_logger().info("hello")
    assert "hello" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_the_readable_form_is_masked_and_shows_exceptions(stream) -> None:
    set_up_logging("console", "info", stream)
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("failed", content="private")
    assert "ValueError: invalid literal" in stream.getvalue()
    assert "private" not in stream.getvalue()


def test_nonsense_that_others_send_is_worth_no_line(stream) -> None:
    set_up_logging("json", "info", stream)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("uvicorn.error").error("Failed.")
    assert [line["event"] for line in lines(stream)] == ["Failed."]
