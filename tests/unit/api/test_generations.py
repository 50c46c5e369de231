from typing import Any
from uuid import uuid4

import pytest

from tests.unit.asgi import Answer, Http, call
from tests.unit.works import Works

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"
PATH = "/api/v1/generations"


async def handed_in(works: Works, body: dict[str, Any], key: str | None = None) -> Answer:
    return await call(works.app, "POST", PATH, body, {"idempotency-key": key} if key else {})


async def test_work_is_accepted_looked_at_and_ended(works) -> None:
    body = {"prompt": "[[tokens=3]]", "metadata": {"case": 7}, "options": {"seed": 1}, "expires_in": 60}
    answer = await handed_in(works, body)
    generation = answer.json["generation"]
    assert (answer.status, generation["metadata"], generation["priority"]) == (202, {"case": 7}, "background")
    assert (generation["conversation"], generation["message"]) == (None, None)
    assert generation["expires_at"] > generation["created_at"]
    log = await works.ended(generation["id"])
    shown = (await call(works.app, "GET", f"{PATH}/{generation['id']}")).json
    assert (shown["status"], shown["reason"], shown["after"]) == ("completed", "completed", str(log.position))
    assert shown["usage"]["completion_tokens"] == 3
    assert set(shown) == set(generation)


async def test_what_runs_is_shown_with_its_text_so_far_and_followed_from_there(works) -> None:
    generation = (await handed_in(works, {"prompt": STALLED})).json["generation"]["id"]
    await works.answering(generation)
    shown = (await call(works.app, "GET", f"{PATH}/{generation}")).json
    assert shown["result"]
    works.engine.cancel(generation)
    await works.ended(generation)
    rest = (await call(works.app, "GET", f"{PATH}/{generation}/events?after={shown['after']}")).json
    assert [event["type"] for event in rest["events"]] == ["end"]


async def test_a_cancel_is_accepted_again_and_again(works) -> None:
    generation = (await handed_in(works, {"prompt": STALLED})).json["generation"]["id"]
    for _ in range(2):
        answer = await call(works.app, "POST", f"{PATH}/{generation}/cancel")
        assert (answer.status, answer.json["id"]) == (202, generation)
    await works.ended(generation)
    assert (await call(works.app, "POST", f"{PATH}/{generation}/cancel")).json["status"] == "cancelled"


async def test_the_list_is_newest_first_by_status_in_pages(works) -> None:
    ids = [(await handed_in(works, {"prompt": "[[tokens=1]]"})).json["generation"]["id"] for _ in range(3)]
    for generation in ids:
        await works.ended(generation)
    first = (await call(works.app, "GET", f"{PATH}?limit=2&status=completed")).json
    assert [each["id"] for each in first["items"]] == [ids[2], ids[1]]
    rest = (await call(works.app, "GET", f"{PATH}?status=completed&cursor={first['next_cursor']}")).json
    assert rest["items"][0]["id"] == ids[0]
    assert (await call(works.app, "GET", f"{PATH}?status=dead")).json["items"] == []
    assert (await call(works.app, "GET", f"{PATH}?status=lost")).status == 422
    assert (await call(works.app, "GET", f"{PATH}?cursor=made-up")).json["field"] == "cursor"


async def test_a_repeat_gets_the_same_answer_and_another_body_is_a_conflict(works) -> None:
    key = uuid4().hex
    first = await handed_in(works, {"prompt": "[[tokens=1]]"}, key)
    assert (await handed_in(works, {"prompt": "[[tokens=1]]"}, key)).body == first.body
    # What is the same once it has been checked is the same.
    assert (
        await handed_in(works, {"prompt": "[[tokens=1]]", "priority": "background"}, key)
    ).body == first.body
    other = await handed_in(works, {"prompt": "[[tokens=2]]"}, key)
    assert (other.status, other.json["code"]) == (409, "key_reused")


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 65, "é"])
async def test_a_key_that_is_none_is_refused_by_name(works, key) -> None:
    answer = await call(works.app, "POST", PATH, {"prompt": "a"}, {"idempotency-key": key})
    assert (answer.status, answer.json["field"]) == (422, "Idempotency-Key")


async def test_work_may_be_answered_by_its_stream(works) -> None:
    headers = {"accept": "text/event-stream"}
    async with Http(works.app, "POST", PATH, {"prompt": "[[tokens=2]]"}, headers) as http:
        await http.begin()
        names = [event.name async for event in http.events()]
    assert names[:3] == ["accepted", "hello", "started"]
    assert names[-1] == "end"


async def test_work_that_is_too_long_for_the_model_is_refused_by_name(works) -> None:
    answer = await handed_in(works, {"prompt": "word " * 3000, "model": "sim-tiny"})
    assert (answer.status, answer.json["code"], answer.json["field"]) == (422, "context_length", "messages")
    assert answer.json["limit"] == 256


async def test_what_belongs_to_another_is_not_there(works) -> None:
    generation = await works.accept(STALLED)
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/events")):
        answer = await call(works.app, method, f"{PATH}/{generation}{path}")
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert not works.feed(generation).log.ended
