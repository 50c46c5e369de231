import pytest
from starlette.requests import Request

from chatserver.access.visitors import LOCAL
from chatserver.api.streams import wants_events
from tests.unit.asgi import call, scope_of
from tests.unit.works import Works

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("accept", "stream"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/event-stream", True),
        ("Text/Event-Stream", True),
        ("application/json, text/event-stream;q=0.5", True),
    ],
)
async def test_only_who_asks_for_events_gets_a_stream(accept, stream) -> None:
    headers = {} if accept is None else {"accept": accept}
    assert wants_events(Request(scope_of("http", "/", headers, method="GET"))) is stream


async def ended(works: Works) -> str:
    generation = await works.accept("[[tokens=2]]", principal=LOCAL)
    await works.ended(generation)
    return f"/api/v1/generations/{generation}/events"


async def test_a_position_may_come_in_the_header_or_the_address_over_any_transport(works) -> None:
    path = await ended(works)
    from_header = await call(works.app, "GET", path, headers={"last-event-id": "1.1"})
    from_address = await call(works.app, "GET", f"{path}?after=1.1")
    assert from_header.json == from_address.json
    assert from_header.json["events"][0]["type"] == "delta"


async def test_an_empty_header_is_no_position(works) -> None:
    path = await ended(works)
    answer = await call(works.app, "GET", path, headers={"last-event-id": ""})
    assert answer.json["events"][0]["type"] == "started"


@pytest.mark.parametrize("query", ["after=1.1&after=1.2", "colour=1", "wait=5&wait=6", "ticket=a&ticket=b"])
async def test_a_query_with_something_twice_or_unknown_is_refused(works, query) -> None:
    answer = await call(works.app, "GET", f"{await ended(works)}?{query}")
    assert (answer.status, answer.json["code"]) == (422, "invalid")


async def test_a_conversation_is_followed_by_its_change_numbers(works) -> None:
    conversation = (await works.converse(principal=LOCAL)).id
    path = f"/api/v1/conversations/{conversation}/events"
    assert (await call(works.app, "GET", f"{path}?after=1.1")).json["code"] == "malformed_position"
    assert (await call(works.app, "GET", f"{path}?after=1&wait=0")).json["after"] == "1"
