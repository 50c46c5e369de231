import asyncio

import orjson
import pytest

from chatserver.access.visitors import LOCAL
from chatserver.errors import MalformedPosition
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel, Delta, Started
from chatserver.generation.position import START, Position
from chatserver.transports import sources
from chatserver.transports.sources import EncodedPiece, GenerationSource, change_number
from chatserver.wire.frames import frame_event, frame_message
from tests.unit.asgi import PATIENCE, Http, call, messages_of, websocket


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("9" * 15, 10**15 - 1)])
def test_a_change_number_is_read(text, number) -> None:
    assert change_number(text) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", " 1", "1\n", "²", "٣", "1_0", "9" * 16, "x"])
def test_what_is_no_change_number_is_refused_by_name(text) -> None:
    with pytest.raises(MalformedPosition) as raised:
        change_number(text)
    assert raised.value.facts == {"field": "after"}


def test_a_frame_has_one_form_for_each_transport() -> None:
    frame = EncodedPiece("gen_1", Position(1, 2), Delta(Channel.ANSWER, "é"))
    json = '{"type":"delta","generation":"gen_1","id":"1.2","channel":"answer","text":"é"}'
    assert (frame.text, frame.json) == (json, json.encode())
    assert frame.sse == f"id: 1.2\nevent: delta\ndata: {json}\n\n".encode()
    assert frame.json is frame.json


async def test_readers_at_one_position_share_what_was_encoded_and_others_get_their_own() -> None:
    feed = Feed("gen_1")
    feed.begin(1, 0)
    feed.add(Started("m", 1))
    readers = [GenerationSource(feed, START, lambda: None) for _ in range(3)]
    with readers[0], readers[1], readers[2]:
        first, second = await readers[0].read(), await readers[1].read()
        assert first[0] is second[0]
        feed.add(Delta(Channel.ANSWER, "Hi"))
        assert [len(await reader.read()) for reader in readers] == [1, 1, 2]
        assert [reader.after for reader in readers] == ["1.2"] * 3
        assert [len(await reader.read()) for reader in readers] == [0, 0, 0]
    assert feed.readers == 0


async def test_a_glance_gives_what_reading_would_and_readers_share_it() -> None:
    feed = Feed("gen_1")
    feed.begin(1, 0)
    feed.extend([Started("m", 1), Delta(Channel.ANSWER, "Hi"), Delta(Channel.THINKING, "Hm")])
    readers = [GenerationSource(feed, START, lambda: None) for _ in range(5)]
    with readers[0], readers[1], readers[2], readers[3], readers[4]:
        events, messages = readers[0].glance(frame_event), readers[1].glance(frame_message)
        assert readers[2].glance(frame_event) is events
        assert readers[3].glance(frame_message) is messages
        frames = await readers[4].read()
        assert events == b"".join([frame.sse for frame in frames])
        assert messages_of(messages) == [frame.text for frame in frames]
        assert [reader.glance(frame_event) for reader in readers] == [b""] * 5


@pytest.mark.asyncio(loop_scope="session")
async def test_more_changes_than_are_read_at_a_time_come_one_after_the_other(works, monkeypatch) -> None:
    monkeypatch.setattr(sources, "_CHANGES", 3)
    conversation = await works.converse(principal=LOCAL)
    for _ in range(4):
        await works.ended(await works.turn(conversation, "[[tokens=1]]"))
    newest = await works.parts.store.conversations.get(LOCAL, conversation.id)
    async with websocket(works.app) as socket:
        socket.say({"type": "watch", "conversation": conversation.id, "after": 0})
        assert (await socket.frame())["type"] == "ok"
        frames = [await socket.frame()]
        while frames[-1]["id"] < newest.change:
            frames.append(await socket.frame())
    # Two messages and a generation for each turn, and the conversation itself.
    assert len(frames) == 13
    assert [frame["id"] for frame in frames] == sorted({frame["id"] for frame in frames})


@pytest.mark.asyncio(loop_scope="session")
async def test_who_watches_a_conversation_is_told_that_it_was_deleted_and_nothing_more(works) -> None:
    conversation = await works.converse(principal=LOCAL)
    path = f"/api/v1/conversations/{conversation.id}"
    async with websocket(works.app) as socket, Http(works.app, "GET", f"{path}/events?after=1") as poll:
        socket.say({"type": "watch", "conversation": conversation.id})
        assert [(await socket.frame())["type"] for _ in range(2)] == ["ok", "conversation"]
        headers = {"accept": "text/event-stream", "last-event-id": "1"}
        async with Http(works.app, "GET", f"{path}/events", headers=headers) as stream:
            await stream.begin()
            assert (await stream.event()).name == "hello"
            async with asyncio.timeout(PATIENCE):
                while len(works.parts.readers) < 3:  # noqa: ASYNC110 - nobody is told of readers
                    await asyncio.sleep(0)
            assert (await call(works.app, "DELETE", path)).status == 204
            deleted = {"type": "deleted", "conversation": conversation.id, "id": 2}
            event = await stream.event()
            assert (event.data, event.id) == (deleted, "2")
            assert await stream.event() is None
        assert await socket.frame() == deleted
        await poll.begin()
        assert orjson.loads(await poll.chunk()) == {"events": [deleted], "after": "2", "ended": True}
