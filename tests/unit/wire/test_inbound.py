import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.errors import Invalid, MalformedRequest
from chatserver.wire.inbound import Inbound, Options, Text, parse_object, validated
from tests.unit.properties import PROPERTY


class Note(Inbound):
    text: Text
    options: Options | None = None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1,}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        "{",
    ],
)
def test_what_is_no_strict_json_is_malformed(raw) -> None:
    with pytest.raises(MalformedRequest, match="isn't well-formed JSON"):
        parse_object(raw)


@pytest.mark.parametrize("raw", [b"[]", b"1", b"null", b'"text"'])
def test_only_an_object_is_taken(raw) -> None:
    with pytest.raises(Invalid, match="must be a JSON object"):
        parse_object(raw)


@pytest.mark.parametrize(
    ("value", "field", "detail"),
    [
        ({}, "text", "text is required."),
        ({"text": 7}, "text", "text should be a valid string."),
        ({"text": "a\x00b"}, "text", "text must not contain the NUL character."),
        ({"text": "a", "colour": 1}, "colour", "colour isn't known here."),
        ({"text": "a", "options": {"num_ctx": 1}}, "options.num_ctx", "options.num_ctx isn't known here."),
        ({"text": "a", "options": {"temperature": "1"}}, "options.temperature", None),
        ({"text": "a", "options": {"seed": 1.5}}, "options.seed", None),
        ({"text": "a", "options": {"seed": True}}, "options.seed", None),
        ({"text": "a", "options": {"top_p": 1.01}}, "options.top_p", None),
        ({"text": "a", "options": {"stop": ["a", ""]}}, "options.stop.1", None),
        ({"text": "a", "options": {"stop": ["a"] * 17}}, "options.stop", None),
    ],
)
def test_a_wrong_value_is_told_in_a_sentence_that_names_its_field(value, field, detail) -> None:
    with pytest.raises(Invalid) as raised:
        validated(Note, value)
    assert raised.value.facts["field"] == field
    assert raised.value.detail.startswith(field)
    assert raised.value.detail.endswith(".")
    assert detail in (None, raised.value.detail)


def test_a_whole_number_is_a_temperature_too() -> None:
    note = validated(Note, {"text": "a", "options": {"temperature": 1, "seed": -(2**31)}})
    assert note.options is not None
    assert note.options.given() == {"temperature": 1.0, "seed": -(2**31)}


def test_what_was_sent_is_not_repeated_in_what_is_told() -> None:
    with pytest.raises(Invalid) as raised:
        validated(Note, {"text": {"secret": "hunter2"}})
    assert "hunter2" not in str(raised.value.facts) + raised.value.detail


def test_a_long_name_is_cut_in_what_is_told() -> None:
    with pytest.raises(Invalid) as raised:
        validated(Note, {"text": "a", "x" * 10_000: 1})
    assert len(raised.value.detail) < 500
    assert len(raised.value.facts["field"]) == 200


@PROPERTY
@given(st.integers(1, 1200))
def test_however_deep_it_is_nested_it_is_refused_in_a_sentence(depth) -> None:
    raw = b'{"text":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises((Invalid, MalformedRequest)):
        validated(Note, parse_object(raw))
