from typing import Any

import pytest

from chatserver.errors import Invalid, MalformedRequest
from chatserver.transports.messages import (
    Cancel,
    Ping,
    Send,
    Subscribe,
    Unsubscribe,
    Unwatch,
    Watch,
    read_message,
)
from chatserver.wire.inbound import parse_object

SEND = {"type": "send", "ref": "r1", "conversation": "conv_1", "content": "Hello"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (SEND, Send(type="send", ref="r1", conversation="conv_1", content="Hello")),
        ({"type": "subscribe", "generation": "gen_1"}, Subscribe(type="subscribe", generation="gen_1")),
        ({"type": "unsubscribe", "generation": "g"}, Unsubscribe(type="unsubscribe", generation="g")),
        ({"type": "watch", "conversation": "c", "after": 7}, Watch(type="watch", conversation="c", after=7)),
        (
            {"type": "watch", "conversation": "c", "after": "7"},
            Watch(type="watch", conversation="c", after="7"),
        ),
        ({"type": "unwatch", "conversation": "c"}, Unwatch(type="unwatch", conversation="c")),
        ({"type": "cancel", "generation": "gen_1"}, Cancel(type="cancel", generation="gen_1")),
        ({"type": "ping", "ref": "r"}, Ping(type="ping", ref="r")),
    ],
)
def test_each_kind_of_message_is_read(value, message) -> None:
    assert read_message(value) == message


def test_a_parent_that_is_left_out_is_not_the_same_as_none() -> None:
    def named(value: dict[str, Any]) -> bool:
        return "parent" in read_message(value).model_fields_set

    assert not named(SEND)
    assert named({**SEND, "parent": None})


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "type"),
        ({"type": "shout"}, "type"),
        ({"type": 7}, "type"),
        ({"type": None}, "type"),
        ({**SEND, "ref": None}, "ref"),
        ({**SEND, "ref": ""}, "ref"),
        ({**SEND, "ref": "x" * 65}, "ref"),
        ({**SEND, "ref": "a b"}, "ref"),
        ({**SEND, "ref": "a\n"}, "ref"),
        ({**SEND, "ref": "é"}, "ref"),
        ({**SEND, "conversation": ""}, "conversation"),
        ({**SEND, "conversation": "c" * 65}, "conversation"),
        ({**SEND, "content": None}, "content"),
        ({**SEND, "content": "a\x00"}, "content"),
        ({**SEND, "extra": 1}, "extra"),
        ({**SEND, "options": {"num_ctx": 1}}, "options.num_ctx"),
        ({**SEND, "options": {"temperature": "0.5"}}, "options.temperature"),
        ({**SEND, "options": {"temperature": True}}, "options.temperature"),
        ({**SEND, "options": {"seed": 1.0}}, "options.seed"),
        ({"type": "subscribe", "generation": "g", "after": "x" * 65}, "after"),
        ({"type": "subscribe", "generation": "g", "after": 7}, "after"),
        ({"type": "watch", "conversation": "c", "after": -1}, "after"),
        ({"type": "watch", "conversation": "c", "after": True}, "after"),
        ({"type": "watch", "conversation": "c", "after": 1.5}, "after"),
        ({"type": "cancel"}, "generation"),
    ],
)
def test_a_wrong_message_is_refused_with_the_field_that_is_wrong(value, field) -> None:
    with pytest.raises(Invalid) as raised:
        read_message(value)
    assert raised.value.facts["field"] == field


def test_a_message_nested_too_deep_is_refused_in_a_sentence() -> None:
    raw = b'{"type":"ping","ref":' + b"[" * 900 + b"]" * 900 + b"}"
    with pytest.raises((Invalid, MalformedRequest)):
        read_message(parse_object(raw))
