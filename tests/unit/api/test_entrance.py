from typing import Any

import pytest

from chatserver.access.visitors import COOKIE, LOCAL
from tests.unit.asgi import HOST, Answer, call
from tests.unit.works import ELSEWHERE, Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWN_PAGE = {"origin": f"http://{HOST}"}


async def ticket(works: Works, headers: dict[str, str] | None = None, **body: Any) -> Answer:
    return await call(works.app, "POST", "/api/v1/tickets", body or None, headers)


def cookie_in(answer: Answer) -> str:
    """Give the Cookie header that a browser sends from then on."""
    header = answer.header("set-cookie")
    assert header is not None
    return header.split(";")[0]


async def test_opening_the_page_makes_a_stranger_a_visitor_once(works) -> None:
    first = await call(works.app, "GET", "/")
    cookie = cookie_in(first)
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly; SameSite=Lax" in (first.header("set-cookie") or "")
    assert (await call(works.app, "GET", "/", headers={"cookie": cookie})).header("set-cookie") is None
    assert cookie_in(await call(works.app, "GET", "/", headers={"cookie": cookie + "x"})) != cookie


async def test_a_visitor_has_its_own_conversations(works) -> None:
    alice, bob = [{"cookie": cookie_in(await call(works.app, "GET", "/"))} for _ in range(2)]
    made = (await call(works.app, "POST", "/api/v1/conversations", headers=alice)).json["id"]
    path = f"/api/v1/conversations/{made}"
    assert [(await call(works.app, "GET", path, headers=who)).status for who in (alice, bob, {})] == [
        200,
        404,
        404,
    ]


async def test_no_other_call_than_these_two_sets_a_cookie(works) -> None:
    for path in (
        "/api/v1/models",
        "/assets/page.css",
        "/favicon.svg",
        "/openapi.json",
        "/health/live",
        "/nowhere",
    ):
        assert (await call(works.app, "GET", path, headers=OWN_PAGE)).header("set-cookie") is None


async def test_a_program_gets_a_ticket_as_the_local_user_and_no_cookie(works) -> None:
    answer = await ticket(works)
    assert (answer.status, answer.json["expires_in"], answer.header("set-cookie")) == (201, 30, None)
    assert answer.header("cache-control") == "no-store"


async def test_a_page_elsewhere_becomes_known_by_its_first_ticket(works) -> None:
    answer = await ticket(works, {"origin": ELSEWHERE})
    cookie = cookie_in(answer)
    assert answer.status == 201
    listed = await call(
        works.app, "GET", "/api/v1/conversations", headers={"origin": ELSEWHERE, "cookie": cookie}
    )
    assert listed.status == 200
    assert (await ticket(works, {"origin": ELSEWHERE, "cookie": cookie})).header("set-cookie") is None


async def test_a_ticket_reads_what_it_is_for_and_nothing_else(works) -> None:
    mine = await works.accept("[[tokens=2]]", principal=LOCAL)
    other = await works.accept("[[tokens=2]]", principal=LOCAL)
    conversation = (await works.converse(principal=LOCAL)).id
    issued = (await ticket(works, generation=mine)).json
    assert issued["expires_in"] == 3600

    async def read(path: str, text: str) -> int:
        # Elsewhere and without a cookie: only the ticket says who this is.
        answer = await call(works.app, "GET", f"{path}/events?ticket={text}", headers={"origin": ELSEWHERE})
        return answer.status

    text = issued["ticket"]
    assert await read(f"/api/v1/generations/{mine}", text) == 200
    assert await read(f"/api/v1/generations/{other}", text) == 403
    assert await read(f"/api/v1/conversations/{conversation}", text) == 403
    assert await read(f"/api/v1/generations/{mine}", f"{text}x") == 401
    watching = (await ticket(works, conversation=conversation)).json["ticket"]
    assert await read(f"/api/v1/conversations/{conversation}", watching) == 200


async def test_a_ticket_opens_streams_and_no_other_calls(works) -> None:
    mine = await works.accept("[[tokens=2]]", principal=LOCAL)
    text = (await ticket(works, generation=mine)).json["ticket"]
    for path in (f"/api/v1/generations/{mine}", "/api/v1/conversations"):
        answer = await call(works.app, "GET", f"{path}?ticket={text}", headers={"origin": ELSEWHERE})
        assert answer.status in {401, 422}


async def test_there_are_no_tickets_for_what_belongs_to_another(works) -> None:
    generation, conversation = await works.accept("[[tokens=2]]"), (await works.converse()).id
    for body in ({"generation": generation}, {"conversation": conversation}, {"generation": "gen_nobody"}):
        answer = await ticket(works, **body)
        assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_a_cookie_is_for_other_sites_only_over_tls(works) -> None:
    answer = await ticket(works, {"origin": ELSEWHERE})
    assert "SameSite=Lax" in (answer.header("set-cookie") or "")


async def test_the_models_are_listed_with_the_one_that_answers_by_default(works) -> None:
    models = (await call(works.app, "GET", "/api/v1/models")).json
    assert (models["default"], models["simulated"]) == ("sim-chat:latest", False)
    chat = next(model for model in models["items"] if model["name"] == "sim-chat:latest")
    assert (chat["context_length"], "digest" in chat) == (8192, False)


async def test_what_a_message_may_be_is_told_beside_the_models(works) -> None:
    told = (await call(works.app, "GET", "/api/v1/models")).json["limits"]
    limits = works.parts.settings.limits
    assert told == {
        "content_characters": limits.content_characters,
        "message_bytes": limits.message_bytes,
        "messages_per_minute": limits.messages_per_minute,
        "subscriptions": limits.subscriptions_per_connection,
    }


async def test_without_a_model_server_the_list_is_empty_and_nothing_fails(tmp_path) -> None:
    async with working(tmp_path, urls=("http://127.0.0.1:1",), ollama__model="") as works:
        models = await call(works.app, "GET", "/api/v1/models")
        assert (models.status, models.json["items"], models.json["default"]) == (200, [], None)
        assert models.json["simulated"] is False
        refused = await call(works.app, "POST", "/api/v1/generations", {"prompt": "Hi"})
        assert (refused.status, refused.json["code"]) == (503, "unavailable")
        assert refused.header("retry-after") == "1"
