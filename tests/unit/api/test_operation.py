import httpx
import pytest
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from chatserver.api.operation import QUERY_LIMIT, Answer, Call, Nothing, Operation, routes
from chatserver.errors import KeyReused, MalformedRequest, NotFound, PayloadTooLarge, RequestTimeout
from tests.unit.api.sample import (
    CONVERSATION,
    LIMIT,
    NewConversation,
    OfConversation,
    dressed,
    sample_operations,
)

CONVERSATIONS = "/api/v1/conversations"


class Out(BaseModel):
    ok: bool


async def nothing(call: Call[Nothing, Nothing, Nothing]) -> Out:
    return Out(ok=call.path == Nothing())


def operation(**parts) -> Operation:
    given = {"method": "GET", "path": "/x", "name": "x", "tag": "x", "summary": "X", "handler": nothing}
    return Operation(**{**given, "answers": (Answer(description="Fine.", model=Out),), **parts})


async def test_a_handlers_model_is_the_answer(client):
    response = await client.get(f"{CONVERSATIONS}/conv_01j9")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == CONVERSATION


async def test_an_answer_has_the_status_that_was_declared(client):
    response = await client.post(CONVERSATIONS, json={"title": "The sky"})

    assert (response.status_code, response.json()["title"]) == (201, "The sky")


async def test_a_handler_may_answer_with_any_response(client):
    response = await client.delete(f"{CONVERSATIONS}/conv_1")

    assert (response.status_code, response.content) == (204, b"")


async def test_nothing_has_to_be_said_where_nothing_is_required(client):
    response = await client.post(CONVERSATIONS)

    assert (response.status_code, response.json()["title"]) == (201, "New chat")


async def test_a_query_reaches_the_handler_as_its_model(client):
    response = await client.get(CONVERSATIONS, params={"limit": "2", "sort": "oldest", "cursor": "ü"})

    page = response.json()
    assert [each["title"] for each in page["conversations"]] == ["oldest 0", "oldest 1"]
    assert page["next_cursor"] == "ü"


@pytest.mark.parametrize(
    ("query", "status", "field", "sentence"),
    [
        ("colour=red", 422, "colour", "colour isn't known here."),
        ("limit=51", 422, "limit", "limit should be less than or equal to 50."),
        (
            "limit=many",
            422,
            "limit",
            "limit should be a valid integer, unable to parse string as an integer.",
        ),
        ("limit=", 422, "limit", "limit should be a valid integer, unable to parse string as an integer."),
        ("sort=best", 422, "sort", "sort should be 'newest' or 'oldest'."),
        ("limit=1&limit=2", 422, "limit", "limit is given more than once."),
        ("cursor=" + "x" * 201, 422, "cursor", "cursor should have at most 200 characters."),
        ("cursor=%ff", 400, None, "The query isn't UTF-8."),
        ("cursor=" + "x" * QUERY_LIMIT, 413, None, f"The query is longer than {QUERY_LIMIT} bytes."),
    ],
)
async def test_a_bad_query_is_refused_by_name(client, query, status, field, sentence):
    response = await client.get(f"{CONVERSATIONS}?{query}")

    problem = response.json()
    assert (response.status_code, problem.get("field"), problem["detail"]) == (status, field, sentence)


async def test_an_operation_without_a_query_refuses_one(client):
    response = await client.get(f"{CONVERSATIONS}/conv_1?limit=5")

    assert (response.status_code, response.json()["field"]) == (422, "limit")


@pytest.mark.parametrize("name", ["msg_1", "conv_%00", "conv_%ff", "conv_A", "conv_1%0a"])
async def test_a_name_of_the_wrong_form_names_nothing(client, name):
    response = await client.get(f"{CONVERSATIONS}/{name}")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("conversation", "status", "code"),
    [("conv_busy", 409, "turn_in_progress"), ("conv_full", 503, "full"), ("conv_gap", 500, "internal_error")],
)
async def test_errors_of_handlers_are_problem_documents(client, conversation, status, code):
    response = await client.post(f"{CONVERSATIONS}/{conversation}/messages", json={"content": "x"})

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers.get("retry-after") == ("2" if status == 503 else None)


async def test_the_idempotency_key_reaches_the_handler(client):
    url = f"{CONVERSATIONS}/conv_1/messages"

    given = await client.post(url, json={"content": "x"}, headers={"Idempotency-Key": "k-1"})
    absent = await client.post(url, json={"content": "x"})

    assert (given.json()["key"], absent.json()["key"]) == ("k-1", None)


@pytest.mark.parametrize("key", ["", "a b", "x" * 65, "ü"])
async def test_an_idempotency_key_has_a_form(client, key):
    response = await client.post(CONVERSATIONS, headers={"Idempotency-Key": key.encode()})

    assert (response.status_code, response.json()["field"]) == (422, "Idempotency-Key")


async def test_head_answers_as_get_without_the_body(client):
    response = await client.head(f"{CONVERSATIONS}/conv_01j9")

    assert response.status_code == 200
    assert int(response.headers["content-length"]) > 0
    assert response.content == b""


async def test_head_does_not_start_a_stream():
    started = []

    async def stream(_call: Call[Nothing, Nothing, Nothing]) -> StreamingResponse:
        async def pieces():
            started.append(True)
            yield "data: x\n\n"

        return StreamingResponse(pieces(), media_type="text/event-stream")

    app = dressed(routes([operation(handler=stream)], 10))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        head, get = await client.head("/x"), await client.get("/x")

    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]
    assert started == [True]


async def test_head_of_an_endless_stream_is_answered(client):
    response = await client.head(f"{CONVERSATIONS}/conv_endless/events")

    assert response.status_code == 200


async def test_a_foreign_method_learns_every_method_of_the_path(client):
    response = await client.put(f"{CONVERSATIONS}/conv_1")

    assert (response.status_code, response.headers["allow"]) == (405, "DELETE, GET, HEAD")


async def test_a_broken_stream_is_cut_off(client):
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(f"{CONVERSATIONS}/conv_broken/events")


def test_one_route_serves_a_path():
    assert [route.path for route in routes(sample_operations(), 10)] == [
        CONVERSATIONS,
        f"{CONVERSATIONS}/{{id}}",
        f"{CONVERSATIONS}/{{id}}/messages",
        f"{CONVERSATIONS}/{{id}}/events",
    ]


def test_a_call_is_declared_once():
    with pytest.raises(ValueError, match="GET /x is declared twice"):
        routes([operation(name="a"), operation(name="b")], 10)


@pytest.mark.parametrize("parts", [{"path": "/x/{id}"}, {"path_model": OfConversation}])
def test_path_and_model_have_the_same_names(parts):
    with pytest.raises(ValueError, match="the path has"):
        operation(**parts)


def test_a_convertor_stays_out_of_the_described_path():
    assert operation(path="/x/{id:path}", path_model=OfConversation).template == "/x/{id}"


def test_errors_follow_from_the_parts():
    plain = operation()
    full = operation(
        method="POST", path="/x/{id}", path_model=OfConversation, body=NewConversation, idempotent=True
    )

    assert plain.all_errors == ()
    assert {NotFound, MalformedRequest, RequestTimeout, PayloadTooLarge, KeyReused} <= set(full.all_errors)


def test_the_sample_bound_is_the_one_declared():
    assert [each.body_limit for each in sample_operations() if each.name == "send_message"] == [LIMIT]
