from typing import Any
from uuid import uuid4

import pytest

from tests.unit.asgi import Answer, Http, call
from tests.unit.clock import MovedClock
from tests.unit.works import Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"
PATH = "/api/v1/conversations"


async def begun(works: Works, **body: Any) -> dict[str, Any]:
    answer = await call(works.app, "POST", PATH, body or None)
    assert answer.status == 201
    conversation: dict[str, Any] = answer.json
    return conversation


async def sent(works: Works, conversation: str, body: dict[str, Any], key: str | None = None) -> Answer:
    headers = {"idempotency-key": key} if key else {}
    return await call(works.app, "POST", f"{PATH}/{conversation}/messages", body, headers)


async def test_a_conversation_begins_with_what_was_given_or_with_nothing(works) -> None:
    empty = await begun(works)
    assert (empty["title"], empty["model"], empty["system"], empty["leaf"]) == (None, None, None, None)
    full = await begun(works, title="Trips", model="sim-tiny", system="Be short.")
    assert (full["title"], full["model"], full["system"]) == ("Trips", "sim-tiny", "Be short.")
    assert (await call(works.app, "GET", f"{PATH}/{full['id']}")).json == full
    assert [set(full), full["change"]] == [set(empty), 1]


async def test_a_turn_is_accepted_and_then_read_as_a_branch(works) -> None:
    conversation = (await begun(works))["id"]
    answer = await sent(works, conversation, {"content": "[[tokens=2]]"})
    assert answer.status == 202
    message, generation = answer.json["message"], answer.json["generation"]
    await works.ended(generation["id"])
    branch = (await call(works.app, "GET", f"{PATH}/{conversation}/messages")).json
    assert [each["id"] for each in branch["items"]] == [message["id"], generation["message"]]
    assert [each["status"] for each in branch["items"]] == ["completed", "completed"]
    assert branch["next_before"] is None
    assert branch["change"] == (await call(works.app, "GET", f"{PATH}/{conversation}")).json["change"]


async def test_pages_of_a_branch_lead_back_to_its_beginning(works) -> None:
    conversation = (await begun(works))["id"]
    for _ in range(3):
        turn = await sent(works, conversation, {"content": "[[tokens=1]]"})
        await works.ended(turn.json["generation"]["id"])
    pages, before = [], ""
    while before is not None:
        query = f"?limit=2&before={before}" if before else "?limit=2"
        page = (await call(works.app, "GET", f"{PATH}/{conversation}/messages{query}")).json
        pages.append([each["id"] for each in page["items"]])
        before = page["next_before"]
    assert [len(page) for page in pages] == [2, 2, 2]
    ids = [message for page in reversed(pages) for message in page]
    assert ids == sorted(ids)


async def test_the_list_is_last_active_first_in_pages(tmp_path) -> None:
    clock = MovedClock()
    async with working(tmp_path, clock=clock) as works:
        ids = [(await begun(works))["id"] for _ in range(3)]
        clock.move(1)
        turn = await sent(works, ids[0], {"content": "[[tokens=1]]"})
        await works.ended(turn.json["generation"]["id"])
        first = (await call(works.app, "GET", f"{PATH}?limit=1")).json
        assert [each["id"] for each in first["items"]] == [ids[0]]
        rest = (await call(works.app, "GET", f"{PATH}?limit=50&cursor={first['next_cursor']}")).json
        assert [each["id"] for each in rest["items"]] == [ids[2], ids[1]]
        assert rest["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "1", "1.conv_1", "-1.conv_01kd3v8m7q4w9s2x5z8b1c", "%00"])
async def test_a_cursor_that_was_made_up_is_refused_by_name(works, cursor) -> None:
    answer = await call(works.app, "GET", f"{PATH}?cursor={cursor}")
    assert (answer.status, answer.json["field"]) == (422, "cursor")


async def test_a_turn_may_be_answered_by_its_stream(works) -> None:
    conversation = (await begun(works))["id"]
    key = uuid4().hex
    for _ in range(2):
        headers = {"accept": "text/event-stream", "idempotency-key": key}
        body = {"content": "[[tokens=2]]"}
        async with Http(works.app, "POST", f"{PATH}/{conversation}/messages", body, headers) as http:
            await http.begin()
            events = [event async for event in http.events()]
        assert http.status == 200
        accepted, hello, *frames = events
        # A repeat gets the same again, from the start.
        assert (accepted.name, accepted.id, accepted.data["message"]["ref"]) == ("accepted", None, key)
        assert hello.name == "hello"
        assert [frames[0].name, frames[-1].name] == ["started", "end"]
    assert (await sent(works, conversation, body, key)).json == accepted.data


async def test_a_refusal_is_a_problem_document_even_where_a_stream_was_asked_for(works) -> None:
    answer = await call(
        works.app, "POST", f"{PATH}/conv_nobody/messages", {"content": "a"}, {"accept": "text/event-stream"}
    )
    assert (answer.status, answer.header("content-type")) == (404, "application/problem+json")


async def test_where_no_more_streams_are_taken_nothing_is_stored_for_one(tmp_path) -> None:
    async with working(tmp_path, limits__connections=1) as works:
        conversation = (await begun(works))["id"]
        with works.parts.readers.reading("sse", lambda: None):
            answer = await call(
                works.app,
                "POST",
                f"{PATH}/{conversation}/messages",
                {"content": "[[tokens=2]]"},
                {"accept": "text/event-stream"},
            )
            assert (answer.status, answer.json["code"]) == (503, "full")
        assert (await call(works.app, "GET", f"{PATH}/{conversation}/messages")).json["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (None, 422, "content"),
        ({}, 422, "content"),
        ({"content": ""}, 422, "content"),
        ({"content": "a" * 2001}, 422, "content"),
        ({"content": "a", "parent": "msg_nobody"}, 404, None),
        ({"content": "a", "colour": 1}, 422, "colour"),
        ({"content": "a" * 70_000}, 413, None),
    ],
)
async def test_a_turn_that_is_wrong_is_refused_and_stores_nothing(works, body, status, field) -> None:
    conversation = (await begun(works))["id"]
    answer = await sent(works, conversation, body)
    assert (answer.status, answer.json.get("field")) == (status, field)
    assert (await call(works.app, "GET", f"{PATH}/{conversation}/messages")).json["items"] == []


async def test_what_belongs_to_another_is_not_there(works) -> None:
    conversation = (await works.converse()).id
    for method, path, body in (
        ("GET", f"{PATH}/{conversation}", None),
        ("PATCH", f"{PATH}/{conversation}", {"title": "Mine"}),
        ("DELETE", f"{PATH}/{conversation}", None),
        ("GET", f"{PATH}/{conversation}/messages", None),
        ("POST", f"{PATH}/{conversation}/messages", {"content": "a"}),
        ("GET", f"{PATH}/{conversation}/events", None),
    ):
        answer = await call(works.app, method, path, body)
        assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_a_turn_while_another_is_answered_names_it(works) -> None:
    conversation = (await begun(works))["id"]
    first = await sent(works, conversation, {"content": STALLED})
    answer = await sent(works, conversation, {"content": "a"})
    assert (answer.status, answer.json["code"]) == (409, "turn_in_progress")
    assert answer.json["generation"] == first.json["generation"]["id"]


async def test_what_is_named_changes_and_null_takes_it_away(works) -> None:
    conversation = await begun(works, title="Trips", model="sim-tiny", system="Be short.")
    path = f"{PATH}/{conversation['id']}"
    changed = (await call(works.app, "PATCH", path, {"title": "Travels", "system": None})).json
    assert changed == {**conversation, "title": "Travels", "system": None, "change": 2}
    assert (await call(works.app, "PATCH", path, {})).json == changed
    assert (await call(works.app, "GET", path)).json == changed


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"title": ""}, 422, "title"),
        ({"title": "a" * 201}, 422, "title"),
        ({"model": 7}, 422, "model"),
        ({"system": "a" * 16_001}, 422, "system"),
        ({"leaf": None}, 422, "leaf"),
        ({"leaf": ""}, 422, "leaf"),
        ({"leaf": "msg_nobody"}, 404, "leaf"),
        ({"colour": "red"}, 422, "colour"),
        ({"id": "conv_other"}, 422, "id"),
        ([], 422, None),
    ],
)
async def test_a_change_that_is_wrong_is_refused_whole(works, body, status, field) -> None:
    conversation = await begun(works)
    if isinstance(body, dict):
        body = {"model": "sim-tiny", **body}
    answer = await call(works.app, "PATCH", f"{PATH}/{conversation['id']}", body)
    assert (answer.status, answer.json.get("field")) == (status, field)
    assert (await call(works.app, "GET", f"{PATH}/{conversation['id']}")).json == conversation


async def test_what_has_not_changed_is_not_sent_again(works) -> None:
    conversation = (await begun(works))["id"]
    turn = await sent(works, conversation, {"content": "[[tokens=1]]"})
    await works.ended(turn.json["generation"]["id"])
    for path in (f"{PATH}/{conversation}", f"{PATH}/{conversation}/messages"):
        first = await call(works.app, "GET", path)
        assert first.header("etag") == f'"{first.json["change"]}"'
        assert first.header("cache-control") == "private, no-cache"
        again = await call(works.app, "GET", path, headers={"if-none-match": first.header("etag")})
        assert (again.status, again.body, again.header("etag")) == (304, b"", first.header("etag"))
        await call(works.app, "PATCH", f"{PATH}/{conversation}", {"title": path})
        changed = await call(works.app, "GET", path, headers={"if-none-match": first.header("etag")})
        assert changed.status == 200


async def test_nothing_is_read_for_whoever_has_it_already(works) -> None:
    conversation = (await begun(works))["id"]
    async with works.readers_busy():
        path = f"{PATH}/{conversation}/messages"
        assert (await call(works.app, "GET", path, headers={"if-none-match": '"1"'})).status == 304
        assert (await call(works.app, "GET", path)).status == 503


async def test_a_change_may_be_meant_for_one_version_alone(works) -> None:
    path = f"{PATH}/{(await begun(works))['id']}"
    first = await call(works.app, "PATCH", path, {"title": "One"}, {"if-match": '"1"'})
    assert (first.status, first.header("etag")) == (200, '"2"')
    second = await call(works.app, "PATCH", path, {"title": "Two"}, {"if-match": '"1"'})
    assert (second.status, second.json["code"], second.json["change"]) == (412, "precondition_failed", 2)
    assert (await call(works.app, "PATCH", path, {"title": "Two"}, {"if-match": "2"})).status == 422
    assert (await call(works.app, "GET", path)).json["title"] == "One"


async def test_what_was_deleted_is_not_there_and_can_not_be_deleted_again(works) -> None:
    conversation = (await begun(works))["id"]
    generation = (await sent(works, conversation, {"content": STALLED}, "deleted")).json["generation"]["id"]
    deleted = await call(works.app, "DELETE", f"{PATH}/{conversation}")
    assert (deleted.status, deleted.body) == (204, b"")
    await works.idle()
    for method, path, body in (
        ("DELETE", f"{PATH}/{conversation}", None),
        ("GET", f"{PATH}/{conversation}", None),
        ("GET", f"{PATH}/{conversation}/messages", None),
        ("GET", f"{PATH}/{conversation}/events", None),
        ("GET", f"/api/v1/generations/{generation}", None),
        ("GET", f"/api/v1/generations/{generation}/events", None),
    ):
        assert (await call(works.app, method, path, body)).status == 404
    # Nor under its key.
    assert (await sent(works, conversation, {"content": STALLED}, "deleted")).status == 404


async def test_beginning_conversations_has_a_limit_and_a_repeat_has_none(tmp_path) -> None:
    async with working(tmp_path, limits__messages_per_minute=2) as works:
        headers = {"idempotency-key": "first"}
        first = await call(works.app, "POST", PATH, {}, headers)
        assert (await call(works.app, "POST", PATH, {})).status == 201
        refused = await call(works.app, "POST", PATH, {})
        assert (refused.status, refused.json["code"], refused.json["limit"]) == (429, "too_many", 2)
        assert (await call(works.app, "POST", PATH, {}, headers)).json == first.json


async def test_a_search_finds_titles_and_texts_and_is_bounded(tmp_path) -> None:
    async with working(tmp_path) as works:
        rivers = (await begun(works, title="Rivers of Europe"))["id"]
        await begun(works, title="Lakes")
        turn = await sent(works, rivers, {"content": "Which is the longest? [[tokens=2]]"})
        await works.ended(turn.json["generation"]["id"])
        for q, ids in (
            ("rivers", [rivers]),
            ("LONGEST%20riv", [rivers]),
            ("nothing", []),
            ("%22*%28%27", []),
        ):
            answer = await call(works.app, "GET", f"{PATH}?q={q}")
            assert [each["id"] for each in answer.json["items"]] == ids
        for blank in ("", "%20", "%E2%80%83"):
            assert len((await call(works.app, "GET", f"{PATH}?q={blank}")).json["items"]) == 2
        for wrong in ("a" * 201, "a%00"):
            answer = await call(works.app, "GET", f"{PATH}?q={wrong}")
            assert (answer.status, answer.json["field"]) == (422, "q")
