import asyncio
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from chatserver.access.tickets import Grant, Ticket, Tickets
from chatserver.access.visitors import LOCAL
from chatserver.generation.pieces import Channel
from chatserver.generation.principal import Principal
from chatserver.transports import sources
from tests.unit.asgi import WebSocket, websocket
from tests.unit.works import working

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALLED = "[[fault=stall]] [[tokens=8]]"


def send(conversation: str, content: str = "[[tokens=4]]", ref: str = "") -> dict[str, Any]:
    """A turn under a name of its own."""
    return {"type": "send", "ref": ref or uuid4().hex, "conversation": conversation, "content": content}


async def frames_until(socket: WebSocket, kind: str) -> list[dict[str, Any]]:
    frames = [await socket.frame()]
    while frames[-1]["type"] != kind:
        frames.append(await socket.frame())
    return frames


async def test_it_opens_with_what_a_client_has_to_know(works) -> None:
    async with WebSocket(works.app) as socket:
        assert await socket.accepted() == "chatserver.v1"
        ready = await socket.frame()
        assert (ready["type"], repr(ready["heartbeat"])) == ("ready", "30")
        limits = works.parts.settings.limits
        assert ready["limits"]["content_characters"] == limits.content_characters
        assert ready["limits"]["subscriptions"] == limits.subscriptions_per_connection


async def test_what_is_sent_is_accepted_before_any_of_its_frames(works) -> None:
    conversation = await works.converse(principal=LOCAL)
    async with websocket(works.app) as socket:
        socket.say(send(conversation.id, ref="r1"))
        accepted, *frames = await frames_until(socket, "end")
        assert (accepted["type"], accepted["ref"]) == ("accepted", "r1")
        assert accepted["message"]["ref"] == "r1"
        generation = accepted["generation"]["id"]
        assert {frame["generation"] for frame in frames} == {generation}
        assert frames[0]["type"] == "started"
        text = "".join(frame.get("text", "") for frame in frames)
        assert text == (await works.record(generation)).result


async def test_a_repeat_is_the_same_operation_and_gets_the_same_answer(works) -> None:
    conversation = await works.converse(principal=LOCAL)
    async with websocket(works.app) as socket:
        turn = send(conversation.id)
        socket.say(turn)
        first = (await frames_until(socket, "end"))[0]
        socket.say(turn)
        accepted, *frames = await frames_until(socket, "end")
        assert accepted == first
        assert frames[0]["type"] == "started"
        socket.say({**turn, "content": "Something else"})
        assert (await socket.frame())["code"] == "key_reused"


async def test_a_second_turn_while_the_first_is_answered_is_refused_with_the_first_ones_name(works) -> None:
    conversation = await works.converse(principal=LOCAL)
    async with websocket(works.app) as socket:
        socket.say(send(conversation.id, STALLED))
        accepted = await socket.frame_of("accepted")
        socket.say(send(conversation.id, ref="second"))
        error = await socket.frame_of("error")
        assert (error["ref"], error["code"], error["status"]) == ("second", "turn_in_progress", 409)
        assert error["generation"] == accepted["generation"]["id"]


async def test_following_from_a_position_gives_what_follows(works) -> None:
    generation = await works.accept(STALLED, principal=LOCAL)
    log = await works.answering(generation)
    async with websocket(works.app) as socket:
        socket.say({"type": "subscribe", "ref": "s", "generation": generation})
        assert await socket.frame() == {"type": "ok", "ref": "s"}
        frames = await frames_until(socket, "delta")
        assert [frame["type"] for frame in frames] == ["started", "delta"]
        assert frames[-1]["text"] == log.text(Channel.ANSWER)
        socket.say({"type": "subscribe", "generation": generation, "after": frames[0]["id"]})
        assert await socket.frame() == {"type": "ok", "ref": None}
        assert (await socket.frame())["type"] == "delta"
        socket.say({"type": "unsubscribe", "ref": "u", "generation": generation})
        assert await socket.frame() == {"type": "ok", "ref": "u"}
        assert works.feed(generation).readers == 0
        works.engine.cancel(generation)
        final = (await works.ended(generation)).position
        socket.say({"type": "subscribe", "ref": "f", "generation": generation, "after": str(final)})
        assert await socket.frame() == {"type": "ok", "ref": "f", "ended": True}
        socket.say({"type": "subscribe", "generation": generation, "after": "9.9"})
        assert [frame["type"] for frame in await frames_until(socket, "end")][:3] == [
            "ok",
            "reset",
            "started",
        ]


async def test_watching_a_conversation_gives_what_changes_in_it(works) -> None:
    conversation = await works.converse(principal=LOCAL)
    async with websocket(works.app) as socket:
        socket.say({"type": "watch", "ref": "w", "conversation": conversation.id})
        assert await socket.frame() == {"type": "ok", "ref": "w"}
        begin = await socket.frame()
        assert (begin["type"], begin["id"], begin["resource"]["id"]) == ("conversation", 1, conversation.id)
        generation = await works.turn(conversation)
        await works.ended(generation)
        seen: dict[str, str] = {}
        while seen.get(generation) != "completed":
            frame = await socket.frame()
            seen[frame["resource"]["id"]] = frame["resource"].get("status", "")
            assert frame["id"] > begin["id"]
        socket.say({"type": "unwatch", "conversation": conversation.id})
        await socket.frame_of("ok")
        await works.ended(await works.turn(conversation))
        assert socket.waiting() == 0
        for after in (0, "0"):
            socket.say({"type": "watch", "conversation": conversation.id, "after": after})
            assert (await socket.frame())["type"] == "ok"
            numbers = [(await socket.frame())["id"] for _ in range(7)]
            assert numbers == sorted(set(numbers))


async def test_a_change_that_cannot_be_read_is_told_once_the_store_is_back(works, monkeypatch) -> None:
    monkeypatch.setattr(sources, "_READ_AGAIN_S", 0.01)
    conversation = await works.converse(principal=LOCAL)
    async with websocket(works.app) as socket:
        socket.say({"type": "watch", "conversation": conversation.id, "after": 1})
        assert (await socket.frame())["type"] == "ok"
        async with works.readers_busy():
            generation = await works.turn(conversation, "Hello")
            await asyncio.sleep(0.05)
            assert socket.waiting() == 0
            works.engine.cancel(generation)
            await works.ended(generation)
            await asyncio.sleep(0.05)
        # Nothing changes any more.
        assert (await socket.frame())["conversation"] == conversation.id


async def test_a_cancel_is_acknowledged_and_ends_the_log(works) -> None:
    generation = await works.accept(STALLED, principal=LOCAL)
    async with websocket(works.app) as socket:
        socket.say({"type": "subscribe", "generation": generation})
        socket.say({"type": "cancel", "ref": "c", "generation": generation})
        frames = await frames_until(socket, "end")
        assert {"type": "ok", "ref": "c"} in frames
        assert frames[-1]["reason"] == "cancelled"
        socket.say({"type": "cancel", "generation": generation})
        assert (await socket.frame())["type"] == "ok"


async def test_a_ping_is_answered_with_its_ref_if_it_has_one(works) -> None:
    async with websocket(works.app) as socket:
        socket.say({"type": "ping"})
        socket.say({"type": "ping", "ref": "p"})
        assert [await socket.frame(), await socket.frame()] == [
            {"type": "pong"},
            {"type": "pong", "ref": "p"},
        ]


@pytest.mark.parametrize(
    ("message", "ref", "code", "field"),
    [
        ("no JSON", None, "malformed", None),
        ("[1]", None, "invalid", None),
        ("{}", None, "invalid", "type"),
        ({"type": "shout", "ref": "x"}, "x", "invalid", "type"),
        ({"type": "ping", "ref": "x" * 65}, None, "invalid", "ref"),
        ({"type": "ping", "ref": {"a": 1}}, None, "invalid", "ref"),
        (
            {"type": "subscribe", "ref": "x", "generation": "gen_1", "after": "x"},
            "x",
            "malformed_position",
            "after",
        ),
        ({"type": "subscribe", "ref": "x", "generation": "gen_nobody"}, "x", "not_found", None),
        ({"type": "watch", "ref": "x", "conversation": "conv_nobody"}, "x", "not_found", None),
        (
            {"type": "watch", "ref": "x", "conversation": "c", "after": "x"},
            "x",
            "malformed_position",
            "after",
        ),
        ({"type": "cancel", "ref": "x", "generation": "gen_nobody"}, "x", "not_found", None),
        (send("conv_nobody", ref="r"), "r", "not_found", None),
        (send("c", " \n ", "r"), "r", "invalid", "content"),
        (send("c", "a" * 2001, "r"), "r", "invalid", "content"),
    ],
)
async def test_a_bad_message_gets_an_error_and_the_connection_lives_on(
    works, message, ref, code, field
) -> None:
    async with websocket(works.app) as socket:
        socket.say(message)
        error = await socket.frame()
        assert (error["type"], error["ref"], error["code"], error.get("field")) == ("error", ref, code, field)
        assert error["detail"].endswith(".")
        socket.say({"type": "ping"})
        assert await socket.frame() == {"type": "pong"}


async def test_a_binary_frame_is_a_bad_message(works) -> None:
    async with websocket(works.app) as socket:
        socket.say_bytes(b"\x00")
        assert (await socket.frame())["code"] == "malformed"


async def test_what_belongs_to_another_is_not_there(works) -> None:
    conversation = await works.converse()
    generation = await works.turn(conversation, STALLED)
    async with websocket(works.app) as socket:
        for message in (
            send(conversation.id),
            {"type": "subscribe", "generation": generation},
            {"type": "watch", "conversation": conversation.id},
            {"type": "cancel", "generation": generation},
        ):
            socket.say(message)
            assert (await socket.frame())["code"] == "not_found"
    assert not works.feed(generation).log.ended


async def test_more_messages_at_once_than_a_chat_ever_sends_end_the_connection(works) -> None:
    async with works.writer_held(), websocket(works.app) as socket:
        generation = "gen_nobody"
        for _ in range(300):
            socket.say({"type": "cancel", "generation": generation})
        assert await socket.closed() == 4429


async def test_answers_that_nobody_reads_end_the_connection(works) -> None:
    async with websocket(works.app) as socket:
        socket.pause()
        for _ in range(20):
            for _ in range(100):
                socket.say({"type": "ping"})
            await asyncio.sleep(0.001)
        socket.resume()
        assert await socket.closed() == 4429


async def test_a_connection_follows_only_so_many_things(tmp_path) -> None:
    async with working(tmp_path, limits__subscriptions_per_connection=1, ollama__slots=4) as works:
        first, second = [await works.accept(STALLED, principal=LOCAL) for _ in range(2)]
        async with websocket(works.app) as socket:
            socket.say({"type": "subscribe", "generation": first})
            await socket.frame_of("ok")
            socket.say({"type": "subscribe", "ref": "s", "generation": second})
            error = await socket.frame_of("error")
            assert (error["ref"], error["code"], error["limit"]) == ("s", "too_many", 1)
        await works.clear()


async def test_a_turn_whose_answer_could_not_be_followed_is_refused_before_it_is_stored(tmp_path) -> None:
    async with working(tmp_path, limits__subscriptions_per_connection=1, ollama__slots=4) as works:
        first, second = [await works.converse(principal=LOCAL) for _ in range(2)]
        async with websocket(works.app) as socket:
            turn = send(first.id, STALLED)
            socket.say(turn)
            accepted = await socket.frame_of("accepted")
            socket.say(send(second.id, ref="s"))
            error = await socket.frame_of("error")
            assert (error["ref"], error["code"], error["limit"]) == ("s", "too_many", 1)
            # A repeat is told what it was told before, and takes the place of itself.
            socket.say(turn)
            assert await socket.frame_of("accepted") == accepted
            socket.say({"type": "unsubscribe", "generation": accepted["generation"]["id"]})
            socket.say(send(second.id, "[[tokens=1]]", ref="s"))
            assert (await socket.frame_of("accepted"))["ref"] == "s"
            await socket.frame_of("end")
        page = await works.parts.store.messages.branch(LOCAL, second.id, None, None, 50)
        assert [message.role for message in page.items] == ["user", "assistant"]
        await works.clear()


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/api/v1/ws?ticket=abc", {}, 4401),
        ("/api/v1/ws", {"origin": "https://evil.example"}, 4403),
        ("/api/v1/ws", {"origin": "http://["}, 4403),
        ("/api/v1/ws", {"host": "evil.example:8000", "origin": "http://evil.example:8000"}, 4403),
    ],
)
async def test_who_may_not_come_in_learns_why_by_the_code(works, path, headers, code) -> None:
    async with WebSocket(works.app, path, headers) as socket:
        assert await socket.accepted() == "chatserver.v1"
        assert await socket.closed() == code
    assert len(works.parts.readers) == 0


async def test_a_ticket_opens_it_for_whom_it_was_issued(works) -> None:
    alice = Principal("default", "visitor_alice")
    tickets = Tickets(works.parts.secret, works.parts.clock)
    opening, _ = tickets.issue(Ticket(alice, Grant.WEBSOCKET, ""))
    reading, _ = tickets.issue(Ticket(alice, Grant.GENERATION, "gen_1"))
    conversation = await works.converse(principal=alice)
    async with websocket(works.app, f"/api/v1/ws?ticket={opening}") as socket:
        socket.say({"type": "watch", "conversation": conversation.id})
        assert (await socket.frame())["type"] == "ok"
    async with WebSocket(works.app, f"/api/v1/ws?ticket={reading}") as socket:
        await socket.accepted()
        assert await socket.closed() == 4403


async def test_full_is_told_by_the_code(tmp_path) -> None:
    async with (
        working(tmp_path, limits__connections=1) as works,
        websocket(works.app),
        WebSocket(works.app) as socket,
    ):
        await socket.accepted()
        assert await socket.closed() == 1013


async def test_when_the_process_ends_it_closes_to_be_opened_elsewhere(
    tmp_path,
) -> None:
    async with working(tmp_path) as works:
        generation = await works.accept(STALLED, principal=LOCAL)
        async with websocket(works.app) as socket:
            socket.say({"type": "subscribe", "generation": generation})
            await socket.frame_of("ok")
            works.parts.readers.finish()
            assert await socket.closed() == 1012
        async with WebSocket(works.app) as socket:
            await socket.accepted()
            assert await socket.closed() == 1012
        await works.clear()


async def test_a_client_that_goes_leaves_nothing_behind(works) -> None:
    generations = [await works.accept(STALLED, principal=LOCAL) for _ in range(2)]
    conversation = await works.converse(principal=LOCAL)
    for _ in range(20):
        async with websocket(works.app) as socket:
            for generation in generations:
                socket.say({"type": "subscribe", "generation": generation})
            socket.say({"type": "watch", "conversation": conversation.id})
            socket.say({"type": "ping"})
            await socket.frame_of("pong")
            socket.hang_up()
            await socket.returned()
    assert [works.feed(generation).readers for generation in generations] == [0, 0]
    assert len(works.parts.readers) == 0
    assert dict(works.parts.watchers._told) == {}
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("ws ")] == []


async def test_a_client_that_takes_nothing_and_goes_leaves_nothing_behind(works) -> None:
    generation = await works.accept("[[tokens=100]]", principal=LOCAL)
    async with websocket(works.app) as socket:
        socket.pause()
        socket.say({"type": "subscribe", "generation": generation})
        await works.ended(generation)
        socket.hang_up()
        await socket.returned()
    assert works.feed(generation).readers == 0


async def test_what_is_on_its_way_to_the_disk_runs_though_the_client_has_gone(works) -> None:
    conversation = await works.converse(principal=LOCAL)
    async with works.writer_held(), websocket(works.app) as socket:
        socket.say(send(conversation.id))
        await works.admitted()
        socket.hang_up()
        await socket.returned()
    (job,) = works.engine.jobs()
    await works.ended(job.generation)
    assert (await works.record(job.generation)).reason == "completed"


async def test_while_the_store_is_away_a_send_is_refused_and_can_be_repeated(works) -> None:
    conversation = await works.converse(principal=LOCAL)
    turn = send(conversation.id)
    async with websocket(works.app) as socket:
        async with works.store_away():
            socket.say(turn)
            error = await socket.frame()
            assert (error["code"], error["retry_after"]) == ("store_unavailable", 2)
        socket.say(turn)
        assert (await socket.frame())["type"] == "accepted"


async def test_a_failure_of_ours_closes_the_connection_to_be_opened_again(works) -> None:
    conversations = works.parts.store.conversations
    with capture_logs() as lines, patch.object(conversations, "_database", None):
        async with websocket(works.app) as socket:
            socket.say({"type": "watch", "conversation": "conv_1"})
            assert await socket.closed() == 1011
    assert "websocket_message_failed" in [line["event"] for line in lines]
