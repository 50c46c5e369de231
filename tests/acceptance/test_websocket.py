"""What a WebSocket promises beside the frames: answers in order, errors that end nothing, close codes."""

import asyncio
import random

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.uri import parse_uri

from tests.harness.client import CALL_S, Client
from tests.harness.readers import read_whole
from tests.harness.received import Received
from tests.harness.service import HEARTBEAT_S, Service
from tests.harness.websocket import SUBPROTOCOL, Socket, socket

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _read_on(opened: Socket, received: Received) -> Received:
    while received.end is None:
        received.take(await opened.receive())
    return received


async def test_it_opens_with_what_a_client_has_to_know(service: Service) -> None:
    async with socket(service.url) as opened:
        assert opened.connection.subprotocol == SUBPROTOCOL
        ready = await opened.receive()
    assert (ready["type"], ready["heartbeat"]) == ("ready", HEARTBEAT_S)
    assert ready["limits"]["content_characters"] == 2000
    assert ready["limits"]["message_bytes"] == 65536


async def test_accepted_comes_before_any_frame_of_the_answer(service: Service, client: Client) -> None:
    conversation = await client.begin()
    async with socket(service.url) as opened:
        for turn in range(5):
            accepted = await opened.ask("send", conversation=conversation, content=f"{turn} [[tokens=5]]")
            assert accepted["type"] == "accepted"
            assert all(frame["type"] == "ready" for frame in opened.earlier)
            opened.earlier.clear()
            received = await _read_on(opened, Received(accepted["generation"]["id"]))
            assert received.end is not None
            assert received.end["reason"] == "completed"
            assert accepted["message"]["ref"] == accepted["ref"]


async def test_frames_of_many_turns_at_once_never_mix(service: Service, client: Client) -> None:
    conversations = [await client.begin() for _ in range(10)]
    async with socket(service.url) as opened:
        for conversation in conversations:
            await opened.say(
                "send", ref=conversation, conversation=conversation, content=f"{conversation} [[tokens=20]]"
            )
        following: dict[str, Received] = {}
        while len(following) < 10 or any(one.end is None for one in following.values()):
            frame = await opened.receive()
            if frame["type"] == "accepted":
                generation = frame["generation"]["id"]
                assert generation not in following
                following[generation] = Received(generation)
            elif frame["type"] != "ready":
                following[frame["generation"]].take(frame)


async def test_a_second_subscribe_moves_the_position_and_ends_the_old_follow(
    service: Service, client: Client
) -> None:
    rng = random.Random(7)
    generation = await client.ask("Long. [[tokens=200]]")
    async with socket(service.url) as opened:
        received = Received(generation)
        assert (await opened.ask("subscribe", generation=generation))["type"] == "ok"
        for _ in range(15):
            opened.earlier.clear()
            for _ in range(rng.randrange(6)):
                received.take(await opened.receive())
            # At times from the start, at times from where it is.
            received = received if rng.random() < 0.5 else Received(generation)
            after = {} if received.after is None else {"after": received.after}
            await opened.ask("subscribe", generation=generation, **after)
            # What came before the answer is of the old follow, and is as good as never read.
            opened.earlier.clear()
        await _read_on(opened, received)
    assert received.resets == []


async def test_nothing_comes_after_an_unsubscribe(service: Service, client: Client) -> None:
    left, kept = await client.ask("Left. [[tokens=4000]]"), await client.ask("Kept. [[tokens=40]]")
    async with socket(service.url) as opened:
        await opened.ask("subscribe", generation=left)
        await opened.ask("subscribe", generation=kept)
        while (await opened.receive()).get("generation") != left:
            pass
        assert (await opened.ask("unsubscribe", generation=left))["type"] == "ok"
        opened.earlier = [frame for frame in opened.earlier if frame["generation"] == kept]
        while (frame := await opened.receive())["type"] != "end":
            assert frame["generation"] == kept
    await client.cancel(left)


async def test_a_subscription_from_the_final_position_has_ended(service: Service, client: Client) -> None:
    received = await read_whole(client, await client.ask("Hi. [[tokens=2]]"))
    async with socket(service.url) as opened:
        assert (await opened.receive())["type"] == "ready"
        answer = await opened.ask("subscribe", generation=received.generation, after=received.after)
        assert (answer["type"], answer["ended"]) == ("ok", True)
        assert (await opened.ask("ping"))["type"] == "pong"
        assert opened.earlier == []


async def test_a_cancel_is_answered_and_the_log_ends_with_it(service: Service, client: Client) -> None:
    generation = await client.ask("Long. [[tokens=4000]]")
    async with socket(service.url) as opened:
        assert (await opened.receive())["type"] == "ready"
        assert (await opened.ask("subscribe", generation=generation))["type"] == "ok"
        assert (await opened.ask("cancel", generation=generation))["type"] == "ok"
        received = await _read_on(opened, Received(generation))
        assert received.end is not None
        assert received.end["reason"] == "cancelled"
        # Again is the same as once.
        assert (await opened.ask("cancel", generation=generation))["type"] == "ok"


async def test_a_ping_is_answered_with_or_without_a_ref(service: Service) -> None:
    async with socket(service.url) as opened:
        assert (await opened.receive())["type"] == "ready"
        await opened.say("ping")
        assert await opened.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", {"status": 400, "code": "malformed", "ref": None}),
        ('["ping"]', {"status": 422, "code": "invalid", "ref": None}),
        ('{"type":"dance","ref":"r1"}', {"status": 422, "code": "invalid", "field": "type", "ref": "r1"}),
        ('{"type":["send"]}', {"status": 422, "code": "invalid", "field": "type", "ref": None}),
        ('{"ref":"r1"}', {"status": 422, "code": "invalid", "field": "type", "ref": "r1"}),
        ('{"type":"subscribe","ref":"r2"}', {"status": 422, "field": "generation", "ref": "r2"}),
        (
            '{"type":"subscribe","ref":"r3","generation":"gen_00000000000000000000aa"}',
            {"status": 404, "code": "not_found", "ref": "r3"},
        ),
        (
            '{"type":"send","ref":"r4","conversation":"conv_00000000000000000000aa","content":"Hi"}',
            {"status": 404, "code": "not_found", "ref": "r4"},
        ),
        (
            '{"type":"send","ref":"r5","conversation":"c","content":"a\\u0000b"}',
            {"status": 422, "code": "invalid", "field": "content", "ref": "r5"},
        ),
        ('{"type":"send","ref":"r6","conversation":"c","content":" "}', {"status": 422, "field": "content"}),
        ('{"type":"ping","ref":"r7","extra":1}', {"status": 422, "field": "extra", "ref": "r7"}),
        (
            '{"type":"subscribe","ref":"r8","generation":"gen_00000000000000000000aa","after":"x"}',
            {"status": 422, "code": "malformed_position", "field": "after", "ref": "r8"},
        ),
    ],
)
async def test_a_bad_message_gets_an_error_and_the_connection_lives_on(
    service: Service, text: str, expected: dict[str, object]
) -> None:
    async with socket(service.url) as opened:
        assert (await opened.receive())["type"] == "ready"
        await opened.connection.send(text)
        error = await opened.receive()
        assert error["type"] == "error"
        assert error.items() >= expected.items()
        assert error["detail"]
        assert (await opened.ask("ping"))["type"] == "pong"


async def test_a_turn_in_progress_is_an_error_that_names_it(service: Service, client: Client) -> None:
    conversation = await client.begin()
    async with socket(service.url) as opened:
        first = await opened.ask("send", conversation=conversation, content="Long. [[tokens=4000]]")
        second = await opened.ask("send", conversation=conversation, content="And?")
        assert (second["type"], second["status"], second["code"]) == ("error", 409, "turn_in_progress")
        assert second["generation"] == first["generation"]["id"]
        await opened.ask("cancel", generation=second["generation"])


async def test_a_message_that_is_too_large_closes_the_connection(service: Service) -> None:
    async with socket(service.url) as opened:
        assert (await opened.receive())["type"] == "ready"
        await opened.connection.send("x" * 70_000)
        with pytest.raises(ConnectionClosed):
            await opened.receive()
        assert opened.connection.close_code == 1009


async def test_a_binary_message_is_an_error_and_the_connection_lives_on(service: Service) -> None:
    async with socket(service.url) as opened:
        assert (await opened.receive())["type"] == "ready"
        await opened.connection.send(b"\xff\xfe")
        answer = await opened.receive()
        assert (answer["type"], answer["code"]) == ("error", "malformed")
        assert (await opened.ask("ping"))["type"] == "pong"


async def test_the_server_pings_and_lets_go_of_a_peer_that_never_answers(service: Service) -> None:
    protocol = ClientProtocol(parse_uri(f"{service.url.replace('http', 'ws')}/api/v1/ws"))
    protocol.send_request(protocol.connect())
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"".join(protocol.data_to_send()))
    async with asyncio.timeout(CALL_S):
        while chunk := await reader.read(4096):
            # What it would answer is never sent.
            protocol.receive_data(chunk)
    writer.close()
    await writer.wait_closed()
    opcodes = [event.opcode for event in protocol.events_received() if hasattr(event, "opcode")]
    assert opcodes[:2] == [Opcode.TEXT, Opcode.PING]
    assert opcodes[-1] is Opcode.CLOSE
