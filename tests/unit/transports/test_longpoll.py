import asyncio
import time

import pytest

from chatserver.access.visitors import LOCAL
from chatserver.generation.pieces import Channel
from tests.unit.asgi import Answer, Http, call
from tests.unit.works import Works, working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"


async def poll(works: Works, target: str, **query: object) -> Answer:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return await call(works.app, "GET", f"/api/v1/{target}/events?{asked}")


def text_of(answer: Answer) -> str:
    return "".join(event.get("text", "") for event in answer.json["events"])


async def test_the_first_question_is_answered_at_once_with_a_position_to_give_back(works) -> None:
    generation = await works.accept(STALLED, principal=LOCAL)
    text = (await works.answering(generation)).text(Channel.ANSWER)
    answer = await poll(works, f"generations/{generation}", wait=30)
    assert (answer.status, answer.header("cache-control")) == (200, "no-store")
    assert answer.json["ended"] is False
    assert text_of(answer) == text
    assert answer.json["after"] == answer.json["events"][-1]["id"]


async def test_before_the_first_entry_the_position_is_the_start_and_the_place_is_told(tmp_path) -> None:
    async with working(tmp_path, ollama__slots=1) as works:
        await works.accept(STALLED)
        generation = await works.accept(principal=LOCAL)
        answer = await poll(works, f"generations/{generation}")
        assert answer.json["after"] == "0.0"
        assert [event["type"] for event in answer.json["events"]] == ["queued"]
        assert answer.json["events"][0]["position"] == 1
        # Waiting on from there tells the place too, but only when the wait is over.
        again = await poll(works, f"generations/{generation}", after="0.0", wait=0.02)
        assert [event["type"] for event in again.json["events"]] == ["queued"]
        await works.clear()


async def test_a_question_waits_for_news_and_gets_them_at_once(works) -> None:
    generation = await works.accept(STALLED, principal=LOCAL)
    position = (await works.answering(generation)).position
    async with Http(
        works.app, "GET", f"/api/v1/generations/{generation}/events?after={position}&wait=30"
    ) as http:
        await asyncio.sleep(0.01)
        assert http.waiting() == 0
        works.engine.cancel(generation)
        await http.begin()
        assert b'"ended":true' in (await http.chunk() or b"")


async def test_without_news_the_answer_comes_at_the_deadline_and_goes_nowhere(works) -> None:
    generation = await works.accept(STALLED, principal=LOCAL)
    position = (await works.answering(generation)).position
    began = time.monotonic()
    answer = await poll(works, f"generations/{generation}", after=position, wait=0.05)
    assert 0.04 < time.monotonic() - began < 2
    assert answer.json == {"events": [], "after": str(position), "ended": False}
    assert works.feed(generation).readers == 0


async def test_a_wait_is_never_longer_than_the_server_allows(tmp_path) -> None:
    async with working(tmp_path, streams__longpoll_longest_s=0.02) as works:
        generation = await works.accept(STALLED, principal=LOCAL)
        position = (await works.answering(generation)).position
        answer = await poll(works, f"generations/{generation}", after=position, wait=30)
        assert answer.json["events"] == []
        await works.clear()


@pytest.mark.parametrize("wait", ["-1", "31", "nan", "inf", "x", ""])
async def test_a_wait_that_is_none_is_refused_by_name(works, wait) -> None:
    answer = await poll(works, "generations/gen_1", wait=wait)
    assert (answer.status, answer.json["field"]) == (422, "wait")


async def test_asking_again_and_again_gives_everything_once(works) -> None:
    generation = await works.accept("[[tokens=60]]", principal=LOCAL)
    told, after, ended = "", {}, False
    while not ended:
        answer = await poll(works, f"generations/{generation}", **after, wait=5)
        told += text_of(answer)
        after, ended = {"after": answer.json["after"]}, answer.json["ended"]
    assert told == (await works.record(generation)).result


async def test_from_the_final_position_it_says_that_it_has_ended_at_once(works) -> None:
    generation = await works.accept("[[tokens=2]]", principal=LOCAL)
    final = (await works.ended(generation)).position
    answer = await poll(works, f"generations/{generation}", after=final, wait=30)
    assert answer.json == {"events": [], "after": str(final), "ended": True}


async def test_the_changes_of_a_conversation_are_asked_for_in_the_same_way(works) -> None:
    conversation = await works.converse(principal=LOCAL)
    first = await poll(works, f"conversations/{conversation.id}")
    assert [event["type"] for event in first.json["events"]] == ["conversation"]
    assert (first.json["after"], first.json["ended"]) == ("1", False)
    generation = await works.turn(conversation, "[[tokens=2]]")
    await works.ended(generation)
    news = await poll(works, f"conversations/{conversation.id}", after=1, wait=30)
    assert {event["type"] for event in news.json["events"]} == {"message", "generation", "conversation"}
    assert news.json["after"] == str(news.json["events"][-1]["id"])
    # Even a question that doesn't wait is answered out of the store.
    assert (await poll(works, f"conversations/{conversation.id}", after=1, wait=0)).json["events"]
    nothing = await poll(works, f"conversations/{conversation.id}", after=news.json["after"], wait=0)
    assert nothing.json["events"] == []


async def test_a_change_number_beyond_ours_gets_a_reset(works) -> None:
    conversation = await works.converse(principal=LOCAL)
    answer = await poll(works, f"conversations/{conversation.id}", after=99, wait=30)
    assert answer.json["events"] == [{"type": "reset", "conversation": conversation.id, "id": 1}]
    assert answer.json["after"] == "1"


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "1" * 16, "%C2%B2", ""])
async def test_a_change_number_that_is_none_is_refused_by_name(works, after) -> None:
    conversation = await works.converse(principal=LOCAL)
    answer = await poll(works, f"conversations/{conversation.id}", after=after)
    assert (answer.status, answer.json["field"]) == (422, "after")


async def test_when_the_process_ends_whoever_waits_is_answered(tmp_path) -> None:
    async with working(tmp_path) as works:
        generation = await works.accept(STALLED, principal=LOCAL)
        position = (await works.answering(generation)).position
        path = f"/api/v1/generations/{generation}/events?after={position}&wait=30"
        async with Http(works.app, "GET", path) as http:
            await asyncio.sleep(0.01)
            works.parts.readers.finish()
            await http.begin()
            assert http.status == 200
        await works.clear()
