from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.chat.resources import ConversationResource, GenerationResource, MessageResource, timestamp
from chatserver.generation.feed import Feed, Place
from chatserver.generation.pieces import Channel, Delta, Fault, Started, ToolCalls, Usage
from chatserver.generation.position import Position
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Reason, Status
from chatserver.storage.records import Conversation, Generation, Message
from chatserver.storage.rows import new_generation
from tests.unit.properties import PROPERTY

ALICE = Principal("default", "alice")


def generation(**more) -> Generation:
    made = new_generation(
        id="gen_1",
        principal=ALICE,
        model="m",
        request={},
        owner="here",
        claimed=True,
        lane=Lane.BACKGROUND,
        now_ms=1_700_000_000_123,
    )
    return replace(made, **more)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        (1_700_000_000_999, "2023-11-14T22:13:20.999Z"),
    ],
)
def test_times_are_utc_to_the_millisecond(milliseconds, text) -> None:
    assert timestamp(milliseconds) == text


@PROPERTY
@given(st.integers(0, 4_000_000_000_000), st.integers(0, 4_000_000_000_000))
def test_times_sort_as_they_were(one, other) -> None:
    assert (timestamp(one) < timestamp(other)) == (one < other)
    assert len(timestamp(one)) == 24


def test_a_generation_on_its_way_shows_what_its_log_has_and_the_position_that_reaches() -> None:
    feed = Feed("gen_1")
    feed.begin(1, 0)
    feed.extend(
        [Started("m", 1), Delta(Channel.THINKING, "hm"), Delta(Channel.ANSWER, "Hel"), ToolCalls([{"a": 1}])]
    )
    shown = GenerationResource.of(generation(), feed)
    assert (shown.result, shown.thinking, shown.tool_calls, shown.after) == ("Hel", "hm", [{"a": 1}], "1.4")
    assert (shown.status, shown.position, shown.eta_ms) == (Status.RUNNING, None, None)


def test_a_generation_that_waits_shows_its_place() -> None:
    feed = Feed("gen_1")
    feed.move(Place(3, 2100))
    shown = GenerationResource.of(generation(status=Status.QUEUED), feed)
    assert (shown.position, shown.eta_ms, shown.after, shown.result) == (3, 2100, "0.0", "")


def test_an_ended_generation_shows_what_the_store_has_whatever_its_feed_says() -> None:
    feed = Feed("gen_1")
    feed.move(Place(3, 2100))
    ended = generation(
        status=Status.FAILED,
        reason=Reason.UPSTREAM_ERROR,
        result="Hel",
        usage=Usage(3, 5),
        error=Fault("stalled", "It stopped."),
        final=Position(2, 9),
        sha256="ab",
        ended_at=1_700_000_001_000,
    )
    shown = GenerationResource.of(ended, feed)
    assert (shown.result, shown.after, shown.position) == ("Hel", "2.9", None)
    assert shown.model_dump()["error"] == {"code": "stalled", "detail": "It stopped."}
    assert shown.model_dump()["usage"] == {"prompt_tokens": 3, "completion_tokens": 5}
    assert shown.ended_at == "2023-11-14T22:13:21.000Z"


def test_a_conversation_and_a_message_keep_what_clients_need_and_nothing_of_their_owner() -> None:
    conversation = ConversationResource.of(
        Conversation("conv_1", ALICE, "Title", True, False, None, None, "msg_2", 7, 5, 0, 1000)
    )
    message = MessageResource.of(
        Message("msg_1", "conv_1", None, "user", "Hi", None, "r1", 3, 0, Status.COMPLETED, None, ("msg_1",))
    )
    assert (conversation.leaf, conversation.change, conversation.active_at) == ("msg_2", 7, timestamp(1000))
    assert (message.ref, message.versions, message.status) == ("r1", ("msg_1",), Status.COMPLETED)
    for shown in (conversation, message, GenerationResource.of(generation())):
        assert "alice" not in shown.model_dump_json()
        assert "owner" not in shown.model_dump()
