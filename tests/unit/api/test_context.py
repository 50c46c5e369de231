from typing import Any

import pytest

from tests.unit.asgi import call
from tests.unit.works import Works

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/api/v1/conversations"


async def begun(works: Works, **body: Any) -> str:
    identity: str = (await call(works.app, "POST", PATH, body or None)).json["id"]
    return identity


async def told(works: Works, conversation: str, content: str) -> dict[str, Any]:
    turn = await call(works.app, "POST", f"{PATH}/{conversation}/messages", {"content": content})
    await works.ended(turn.json["generation"]["id"])
    await works.idle()
    accepted: dict[str, Any] = turn.json
    return accepted


async def seen(works: Works, conversation: str) -> dict[str, Any]:
    context: dict[str, Any] = (await call(works.app, "GET", f"{PATH}/{conversation}/context")).json
    return context


async def test_what_the_model_would_see_now_is_told_with_the_reasons(works) -> None:
    conversation = await begun(works, system="Be short.")
    turn = await told(works, conversation, "Tell me of the sea. [[tokens=3]]")
    context = await seen(works, conversation)
    assert [message["role"] for message in context["messages"]] == ["system", "user", "assistant"]
    assert context["messages"][1]["content"] == "Tell me of the sea. [[tokens=3]]"
    assert context["report"]["kept"] == [turn["message"]["id"], turn["generation"]["message"]]
    assert context["report"]["tokens"]["total"] <= context["report"]["budget"]["total"]
    answer = (await call(works.app, "GET", f"/api/v1/generations/{turn['generation']['id']}")).json
    assert answer["context"]["kept"] == [turn["message"]["id"]]
    assert answer["context"]["prompt_eval_count"] == answer["usage"]["prompt_tokens"]


async def test_of_an_empty_conversation_or_anothers_there_is_nothing_to_see(works) -> None:
    context = await seen(works, await begun(works))
    assert (context["messages"], context["summary"], context["report"]["left_out"]) == ([], None, 0)
    assert (await call(works.app, "GET", f"{PATH}/conv_nobody/context")).status == 404


async def test_somebodys_own_words_are_the_summary_and_the_model_is_told_them(works) -> None:
    conversation = await begun(works)
    for number in range(6):
        await told(works, conversation, f"{number} {'and so on ' * 190} [[tokens=1]]")
    said = {"text": "The code word is Heron."}
    before = (await call(works.app, "GET", f"{PATH}/{conversation}")).json["change"]
    answer = await call(works.app, "PUT", f"{PATH}/{conversation}/summary", said)
    assert answer.status == 200
    assert (answer.json["text"], answer.json["by_hand"]) == (said["text"], True)
    context = await seen(works, conversation)
    assert context["summary"] == answer.json
    assert said["text"] in context["messages"][0]["content"]
    assert (await call(works.app, "GET", f"{PATH}/{conversation}")).json["change"] == before + 1
    await told(works, conversation, "What is the code word?")
    [body] = await works.bodies(1)
    assert said["text"] in body["messages"][0]["content"]


async def test_a_summary_can_be_set_before_anything_is_said_and_set_again(works) -> None:
    conversation = await begun(works)
    for text in ("One", "Two \N{SNOWMAN}"):
        await call(works.app, "PUT", f"{PATH}/{conversation}/summary", {"text": text})
        summary = (await seen(works, conversation))["summary"]
        assert (summary["text"], summary["message"], summary["covers"]) == (text, None, 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "text"),
        ({}, "text"),
        ({"text": None}, "text"),
        ({"text": ""}, "text"),
        ({"text": " \n\u3000"}, "text"),
        ({"text": "a" * 4_001}, "text"),
        ({"text": "a\x00"}, "text"),
        ({"text": "a", "message": "msg_1"}, "message"),
    ],
)
async def test_a_summary_that_is_wrong_is_refused_by_name(works, body, field) -> None:
    conversation = await begun(works)
    answer = await call(works.app, "PUT", f"{PATH}/{conversation}/summary", body)
    assert (answer.status, answer.json["field"]) == (422, field)
    assert (await seen(works, conversation))["summary"] is None


async def test_the_summary_of_what_belongs_to_another_can_not_be_set(works) -> None:
    conversation = (await works.converse()).id
    for target in (conversation, "conv_nobody"):
        answer = await call(works.app, "PUT", f"{PATH}/{target}/summary", {"text": "Mine"})
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert await works.parts.store.summaries.on_branch(conversation, None) is None
