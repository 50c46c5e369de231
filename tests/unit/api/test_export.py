from typing import Any

import pytest

from chatserver.access.visitors import LOCAL
from chatserver.api.outbound import ConversationExport
from tests.unit.asgi import Http, call
from tests.unit.engine.talks import answered, asked
from tests.unit.works import Works

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/api/v1/conversations"
#: Of several scripts, with what JSON and Markdown write otherwise.
ODD = 'Ελλάδα \N{GRINNING FACE} "quoted" \\ back\r\n# not a heading\u2028\x7f'


async def mine(works: Works, **body: Any) -> dict[str, Any]:
    """A conversation of whoever calls here without a cookie."""
    conversation: dict[str, Any] = (await call(works.app, "POST", PATH, body or None)).json
    return conversation


async def said(works: Works, conversation: dict[str, Any], *turns: tuple[str, str]) -> None:
    found = await works.parts.store.conversations.get(LOCAL, conversation["id"])
    for question, answer in turns:
        await answered(works, found, question, answer)


async def test_all_of_it_is_given_as_it_is_read_elsewhere(works) -> None:
    conversation = await mine(works, title=ODD, system=ODD)
    await said(works, conversation, (ODD, ODD), ("And then?", "Nothing."))
    await call(works.app, "PUT", f"{PATH}/{conversation['id']}/summary", {"text": "Odd."})
    answer = await call(works.app, "GET", f"{PATH}/{conversation['id']}/export?format=json")
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-disposition") == f'attachment; filename="{conversation["id"]}.json"'
    export = answer.json
    assert ConversationExport.model_validate(export).model_dump(mode="json") == export
    assert export["conversation"] == (await call(works.app, "GET", f"{PATH}/{conversation['id']}")).json
    assert export["summary"]["text"] == "Odd."
    branch = await call(works.app, "GET", f"{PATH}/{conversation['id']}/messages")
    assert export["messages"] == branch.json["items"]


async def test_a_text_to_read_tells_who_said_what_and_where_it_turned_back(works) -> None:
    conversation = await mine(works, title="Trips\nand more", system="Be\nshort.")
    await said(works, conversation, ("Where to?", "Oslo."), ("When?", "In May."))
    record = await works.parts.store.conversations.get(LOCAL, conversation["id"])
    branch = (await call(works.app, "GET", f"{PATH}/{conversation['id']}/messages")).json["items"]
    await call(works.app, "PATCH", f"{PATH}/{record.id}", {"leaf": branch[1]["id"]})
    turn = {"content": "When, then?", "parent": branch[1]["id"]}
    for body in (turn, {**turn, "parent": None, "content": "Anew"}):
        sent = await call(works.app, "POST", f"{PATH}/{record.id}/messages", body)
        await works.ended(sent.json["generation"]["id"])
        await works.idle()
    answer = await call(works.app, "GET", f"{PATH}/{record.id}/export")
    assert answer.header("content-type") == "text/markdown; charset=utf-8"
    lines = answer.body.decode().split("\n")
    assert lines[0] == "# Trips and more"
    assert lines[4:6] == ["> Be", "> short."]
    assert lines.count("## sim-chat:latest") == 4
    assert sum(line.startswith("## You · 1970-01-01T00:00:00.001Z") for line in lines) == 2
    assert lines[lines.index("When, then?") - 2] == "*Back at “Oslo.…”:*"
    assert lines[lines.index("Anew") - 2] == "*From the beginning again:*"
    assert sum(line.startswith("*Back at") for line in lines) == 1


async def test_what_is_unfinished_says_so(works) -> None:
    conversation = await mine(works)
    record = await works.parts.store.conversations.get(LOCAL, conversation["id"])
    await asked(works, record, "Well?")
    text = (await call(works.app, "GET", f"{PATH}/{record.id}/export?format=markdown")).body.decode()
    assert text.endswith("Well?\n\n## sim-chat:latest\n\n\n\n*(running)*\n\n")


async def test_a_long_one_comes_in_parts_as_fast_as_it_is_taken(works) -> None:
    conversation = await mine(works)
    await said(works, conversation, *((f"Question {n}", "a" * 10_000) for n in range(60)))
    async with Http(works.app, "GET", f"{PATH}/{conversation['id']}/export?format=json") as http:
        await http.begin()
        http.pause()
        parts = [await http.chunk()]
        # One part more may wait to be sent; the rest isn't even read.
        assert http.waiting() <= 1
        http.resume()
        while (part := await http.chunk()) is not None:
            parts.append(part)
    assert max(len(part) for part in parts if part) < 70_000
    export = ConversationExport.model_validate_json(b"".join(part for part in parts if part))
    assert [each.content for each in export.messages[::2]] == [f"Question {n}" for n in range(60)]


async def test_whoever_has_gone_costs_nothing_more(works) -> None:
    conversation = await mine(works)
    await said(works, conversation, *(("Question", "Answer") for _ in range(20)))
    async with Http(works.app, "GET", f"{PATH}/{conversation['id']}/export") as http:
        await http.begin()
        http.hang_up()
        await http.returned()


async def test_of_an_empty_one_there_is_its_heading(works) -> None:
    conversation = await mine(works)
    export = (await call(works.app, "GET", f"{PATH}/{conversation['id']}/export?format=json")).json
    assert (export["summary"], export["messages"]) == (None, [])
    text = (await call(works.app, "GET", f"{PATH}/{conversation['id']}/export")).body.decode()
    assert text.startswith("# Conversation\n\n*Begun ")


async def test_what_is_not_there_or_can_not_be_read_is_refused_before_anything_is_sent(works) -> None:
    conversation = (await works.converse()).id
    for target in (conversation, "conv_nobody"):
        for form in ("json", "markdown"):
            answer = await call(works.app, "GET", f"{PATH}/{target}/export?format={form}")
            assert (answer.status, answer.json["code"]) == (404, "not_found")
    own = (await mine(works))["id"]
    assert (await call(works.app, "GET", f"{PATH}/{own}/export?format=pdf")).status == 422
    async with works.readers_busy():
        answer = await call(works.app, "GET", f"{PATH}/{own}/export")
        assert (answer.status, answer.header("retry-after") is not None) == (503, True)
