import json
import math

import pytest

from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.requests import (
    ChatRequest,
    EmbedRequest,
    parse_body,
    parse_keep_alive,
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (30, 30),
        (1.5, 1.5),
        (-1, math.inf),
        ("5m", 300),
        ("1h30m", 5_400),
        ("500ms", 0.5),
        ("-1m", math.inf),
        ("0", 0),
    ],
)
def test_keep_alive_is_seconds_or_a_go_duration(value: object, seconds: float) -> None:
    assert parse_keep_alive(value) == seconds


@pytest.mark.parametrize("value", ["300", "soon", "5 m", "", True, [5]])
def test_other_keep_alives_are_wrong(value: object) -> None:
    with pytest.raises(ValueError, match=r"duration|type"):
        parse_keep_alive(value)


def test_null_is_the_same_as_absent_and_unknown_names_are_ignored() -> None:
    body = {"model": "m", "stream": None, "messages": None, "keep_alive": None, "think": None, "odd": 1}
    assert parse_body(ChatRequest, json.dumps(body).encode()) == ChatRequest(model="m")


def test_roles_are_read_in_any_case() -> None:
    body = {"model": "m", "messages": [{"role": "USER", "content": None}]}
    message = parse_body(ChatRequest, json.dumps(body).encode()).messages[0]
    assert (message.role, message.content) == ("user", "")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "missing request body"),
        (b'{"model"', "invalid JSON"),
        (b'{"model": 5}', "cannot unmarshal model"),
        (b'{"messages": [{"content": 5}]}', "cannot unmarshal messages.0.content"),
        (
            b'{"think": "never"}',
            'invalid think value: "never" (must be "high", "medium", "low", "max", true, or false)',
        ),
        (b'{"think": 1.5}', "think must be a boolean or string"),
        (b'{"format": "xml"}', "invalid format: 'xml'"),
        (b'{"top_logprobs": 21}', "top_logprobs must be between 0 and 20"),
        (b'{"keep_alive": "soon"}', 'invalid duration "soon"'),
        (b'{"messages": [{"images": ["data:image/png;base64,AAAA"]}]}', "illegal base64 data"),
        (b'{"messages": [{"images": ["AAA"]}]}', "illegal base64 data"),
    ],
)
def test_a_wrong_body_is_refused_with_a_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_body(ChatRequest, body)
    assert refused.value.status == 400
    assert sentence in refused.value.sentence


@pytest.mark.parametrize("value", [True, False, "low", "max"])
def test_think_takes_a_boolean_or_a_level(value: object) -> None:
    assert parse_body(ChatRequest, json.dumps({"think": value}).encode()).think == value


def test_an_embedding_takes_a_text_or_a_list() -> None:
    assert parse_body(EmbedRequest, b'{"input": "a"}').input == "a"
    assert parse_body(EmbedRequest, b'{"input": ["a", "b"]}').input == ["a", "b"]
