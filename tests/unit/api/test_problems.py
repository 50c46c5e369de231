import re
from typing import Literal

import httpx
import pytest
import structlog
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from chatserver.api.problems import Problems, RequestId, problem_response
from chatserver.errors import (
    ChatserverError,
    Full,
    GapInLog,
    Invalid,
    NotFound,
    TooMany,
    TurnInProgress,
    Unauthenticated,
)
from chatserver.wire.problems import UNEXPECTED, every_error, invalid, problem_facts
from tests.unit.api.sample import dressed


async def fine(request: Request) -> PlainTextResponse:
    bound = structlog.contextvars.get_contextvars()["request_id"]
    return PlainTextResponse(f"{request.state.request_id} {bound}")


async def unexpected(_request: Request) -> PlainTextResponse:
    raise LookupError("a secret of ours")


async def broken(_request: Request) -> StreamingResponse:
    async def pieces():
        yield b"the beginning"
        raise LookupError("a secret of ours")

    return StreamingResponse(pieces())


class Refusing:
    """A middleware that lets nobody in."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, *_call):
        raise Unauthenticated


@pytest.fixture(scope="module")
def tried(serving):
    app = dressed([Route("/fine", fine), Route("/unexpected", unexpected), Route("/broken", broken)])
    with serving(app) as address:
        yield address


@pytest.fixture
async def trying(tried):
    async with httpx.AsyncClient(base_url=tried, timeout=10, verify=False) as client:
        yield client


def test_a_problem_has_its_members_and_its_facts():
    assert problem_facts(TurnInProgress("gen_1"), "r1") == {
        "type": "/docs/errors#turn_in_progress",
        "title": "Conflict",
        "status": 409,
        "code": "turn_in_progress",
        "detail": "An answer is still being made there; wait for its end or cancel it.",
        "request_id": "r1",
        "generation": "gen_1",
    }


def test_a_fact_never_replaces_a_member():
    facts = problem_facts(NotFound(status=200, code="fine", extra=1), "r1")

    assert (facts["status"], facts["code"], facts["extra"]) == (404, "not_found", 1)


@pytest.mark.parametrize(
    "error", [GapInLog(3, 5), ChatserverError("disk 7"), KeyError("a secret"), HTTPException(502)]
)
def test_what_is_internal_is_told_in_one_plain_sentence(error):
    facts = problem_facts(error, "r1")

    assert (facts["status"], facts["code"], facts["detail"]) == (500, "internal_error", UNEXPECTED)


@pytest.mark.parametrize("kind", list(every_error()))
def test_every_error_can_be_answered(kind):
    error = kind.__new__(kind)
    ChatserverError.__init__(error)

    response = problem_response(error, "r1")

    assert response.status_code == kind.status
    assert response.media_type == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("seconds", "header"), [(0.2, "1"), (1, "1"), (1.2, "2"), (0, "0")])
def test_retry_after_is_rounded_up_to_whole_seconds(seconds, header):
    response = problem_response(TooMany(retry_after=seconds), "r1")

    assert response.headers["retry-after"] == header


def test_unavailable_says_when_to_come_again():
    assert problem_response(Full(), "r1").headers["retry-after"] == "5"


def test_who_is_not_known_learns_how_to_say_it():
    assert problem_response(Unauthenticated(), "r1").headers["www-authenticate"] == "Bearer"


def test_a_slow_request_loses_its_connection():
    slow = next(kind for kind in every_error() if kind.status == 408)

    assert problem_response(slow(), "r1").headers["connection"] == "close"


class Part(BaseModel):
    text: str = Field(max_length=3)


class Say(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["say"]
    count: int = Field(default=1, ge=1)
    format: Literal["markdown", "json"] = "json"
    content: str | list[Part] | None = None

    @model_validator(mode="after")
    def _content_is_wanted(self):
        if self.count == 13:
            raise ValueError("Thirteen brings no luck.")
        return self


class Stop(BaseModel):
    type: Literal["stop"]


class Message(RootModel[Say | Stop]):
    root: Say | Stop = Field(discriminator="type")


def refusal(model: type[BaseModel], given: object) -> Invalid:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given, strict=True)
    return invalid(caught.value, given)


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        ({}, "type", "type is required."),
        ({"type": "say", "colour": 1}, "colour", "colour isn't known here."),
        ({"type": "say", "count": "1"}, "count", "count should be a valid integer."),
        ({"type": "say", "count": 0}, "count", "count should be greater than or equal to 1."),
        ({"type": "say", "format": "xml"}, "format", "format should be 'markdown' or 'json'."),
        ({"type": "say", "content": 5}, "content", "content should be a valid string."),
        (
            {"type": "say", "content": [{"text": "abc"}, {"text": "abcd"}]},
            "content.1.text",
            "content.1.text should have at most 3 characters.",
        ),
        ({"type": "say", "count": 13}, None, "Thirteen brings no luck."),
        ([], None, "The request should be a valid dictionary or instance of Say."),
    ],
)
def test_a_refusal_names_the_field_and_says_what_is_wrong(given, field, sentence):
    error = refusal(Say, given)

    assert (error.facts.get("field"), error.detail) == (field, sentence)


def test_places_are_given_as_the_sender_wrote_them():
    assert refusal(Message, {"type": "say", "count": 0}).facts == {"field": "count"}
    assert refusal(Message, {"type": "go"}).detail == "type should be one of 'say', 'stop'."


class Parts(BaseModel):
    parts: list[Part]


def test_places_inside_lists_are_dotted():
    assert refusal(Parts, {"parts": [{"text": "abc"}, {"text": "abcd"}]}).facts == {"field": "parts.1.text"}
    assert refusal(Parts, {"parts": [{}]}).detail == "parts.0.text is required."


def test_what_was_sent_comes_back_only_in_short():
    error = refusal(Say, {"type": "say", "x" * 100_000: 1})

    assert len(error.detail) < 300
    assert len(error.facts["field"]) <= 200


async def test_an_id_is_made_for_each_call(trying):
    first, second = await trying.get("/fine"), await trying.get("/fine")

    assert re.fullmatch("[0-9a-f]{32}", first.headers["x-request-id"])
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_the_callers_id_is_taken_into_state_logs_and_answer(trying):
    response = await trying.get("/fine", headers={"X-Request-ID": "trace-7:a/b=1"})

    assert response.headers["x-request-id"] == "trace-7:a/b=1"
    assert response.text == "trace-7:a/b=1 trace-7:a/b=1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "ü", '"', "<script>"])
async def test_an_id_that_is_not_sane_is_replaced(trying, given):
    response = await trying.get("/fine", headers={"X-Request-ID": given.encode()})

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize("opening", ["websocket.accept", "websocket.http.response.start"])
async def test_a_websocket_carries_the_id_too(opening):
    async def app(_scope, _receive, send):
        await send({"type": opening})
        await send({"type": "websocket.send", "text": "x"})

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "headers": [(b"x-request-id", b"r1")]}
    await RequestId(app)(scope, None, send)

    assert sent == [
        {"type": opening, "headers": [(b"x-request-id", b"r1")]},
        {"type": "websocket.send", "text": "x"},
    ]
    assert scope["state"] == {"request_id": "r1"}


async def test_the_server_starts_and_stops_without_an_id():
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope)

    await RequestId(Problems(app))({"type": "lifespan"}, None, None)

    assert seen == [{"type": "lifespan"}]


async def test_an_address_that_is_not_there_is_a_problem_document(trying):
    response = await trying.get("/nowhere")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_a_foreign_method_learns_the_right_ones(trying):
    response = await trying.post("/fine")

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"
    assert response.json()["allow"] == ["GET", "HEAD"]


async def test_the_unexpected_is_logged_and_told_without_its_secrets(trying):
    with capture_logs() as logged:
        response = await trying.get("/unexpected?ticket=private")

    assert response.status_code == 500
    assert response.json()["detail"] == UNEXPECTED
    assert "secret" not in response.text
    (line,) = logged
    assert line["event"] == "unexpected_error"
    assert line["request_id"] == response.headers["x-request-id"]
    assert (line["method"], line["path"]) == ("GET", "/unexpected")
    assert isinstance(line["exc_info"], LookupError)


async def test_a_response_that_breaks_is_cut_off_and_logged(trying):
    with capture_logs() as logged, pytest.raises(httpx.RemoteProtocolError):
        await trying.get("/broken")

    assert [line["event"] for line in logged] == ["unexpected_error"]


async def test_nothing_follows_a_response_that_has_begun():
    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise LookupError

    sent = []

    async def send(message):
        sent.append(message["type"])

    with capture_logs():
        await Problems(app)({"type": "http", "path": "/"}, None, send)

    assert sent == ["http.response.start"]


async def test_refusals_of_middleware_are_problem_documents_too(serving):
    app = dressed([Route("/fine", fine)])
    app.add_middleware(Refusing)
    # Added middleware stands outermost; ours stands around it.
    app.user_middleware.append(app.user_middleware.pop(0))

    with serving(app) as address:
        async with httpx.AsyncClient(verify=False) as client:
            response = await client.get(f"{address}/fine")

    assert response.status_code == 401
    assert response.json()["code"] == "unauthenticated"
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-request-id"] == response.json()["request_id"]
