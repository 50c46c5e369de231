import pytest
from pydantic import BaseModel

from chatserver.api.inbound import (
    BranchPage,
    EventsQuery,
    GenerationPage,
    NewConversation,
    NewGeneration,
    NewMessage,
    NewTicket,
)
from chatserver.errors import Invalid
from chatserver.generation.states import Lane
from chatserver.wire.inbound import validated


def refused(model: type[BaseModel], given: dict[str, object]) -> Invalid:
    with pytest.raises(Invalid) as raised:
        validated(model, given)
    return raised.value


def test_a_prompt_becomes_the_messages_that_a_model_gets() -> None:
    work = validated(
        NewGeneration,
        {"prompt": "Hi", "system": "Be short.", "images": ["aGk="], "options": {"seed": 1}, "format": "json"},
    )
    assert work.request() == {
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hi", "images": ["aGk="]},
        ],
        "options": {"seed": 1},
        "format": "json",
    }
    assert work.priority is Lane.BACKGROUND


def test_messages_are_passed_on_as_they_were_given_after_the_system_prompt() -> None:
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
        {"role": "tool", "content": "42", "tool_name": "f"},
    ]
    work = validated(NewGeneration, {"messages": messages, "system": "Be short.", "think": "high"})
    assert work.request() == {
        "messages": [{"role": "system", "content": "Be short."}, *messages],
        "think": "high",
    }


def test_what_was_not_given_is_not_passed_on() -> None:
    assert validated(NewGeneration, {"prompt": "Hi"}).request() == {
        "messages": [{"role": "user", "content": "Hi"}]
    }
    assert validated(NewGeneration, {"prompt": "Hi", "think": False}).request()["think"] is False


@pytest.mark.parametrize("parent", [None, "msg_1"])
def test_a_parent_that_is_named_is_told_from_one_that_is_left_out(parent) -> None:
    assert "parent" in validated(NewMessage, {"content": "a", "parent": parent}).model_fields_set
    assert "parent" not in validated(NewMessage, {"content": "a"}).model_fields_set


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({}, "The request needs either messages or a prompt."),
        ({"prompt": "a", "messages": [{"role": "user"}]}, "The request needs either messages or a prompt."),
        (
            {"messages": [{"role": "user"}], "images": ["aGk="]},
            "The request takes images beside a prompt; else they stand in a message.",
        ),
    ],
)
def test_work_is_messages_or_a_prompt(given, detail) -> None:
    assert refused(NewGeneration, given).detail == detail


@pytest.mark.parametrize(
    ("model", "given", "field"),
    [
        (NewConversation, {"title": ""}, "title"),
        (NewConversation, {"title": "a" * 201}, "title"),
        (NewConversation, {"model": ""}, "model"),
        (NewConversation, {"system": "a" * 16_001}, "system"),
        (NewConversation, {"colour": 1}, "colour"),
        (NewMessage, {}, "content"),
        (NewMessage, {"content": "a", "parent": ""}, "parent"),
        (NewMessage, {"content": "a", "model": "m" * 257}, "model"),
        (NewMessage, {"content": "a", "options": {"num_ctx": 1}}, "options.num_ctx"),
        (NewGeneration, {"prompt": ""}, "prompt"),
        (NewGeneration, {"messages": []}, "messages"),
        (NewGeneration, {"messages": [{"role": "robot"}]}, "messages.0.role"),
        (
            NewGeneration,
            {"messages": [{"role": "user", "images": ["data:image/png;base64,aGk="]}]},
            "messages.0.images.0",
        ),
        (NewGeneration, {"prompt": "a", "images": ["not base64"]}, "images.0"),
        (NewGeneration, {"prompt": "a", "images": ["aGk"]}, "images.0"),
        (NewGeneration, {"prompt": "a", "images": [""]}, "images.0"),
        (NewGeneration, {"prompt": "a", "images": ["é"]}, "images.0"),
        (NewGeneration, {"prompt": "a", "think": "very"}, "think"),
        (NewGeneration, {"prompt": "a", "format": "xml"}, "format"),
        (NewGeneration, {"prompt": "a", "priority": "high"}, "priority"),
        (NewGeneration, {"prompt": "a", "expires_in": 0}, "expires_in"),
        (NewGeneration, {"prompt": "a", "expires_in": 10**9}, "expires_in"),
        (NewGeneration, {"prompt": "a", "metadata": [1]}, "metadata"),
        (NewGeneration, {"prompt": "a", "tools": [1]}, "tools.0"),
        (NewTicket, {"generation": ""}, "generation"),
        (NewTicket, {"generation": "g" * 65}, "generation"),
    ],
)
def test_what_is_wrong_is_told_by_the_name_of_its_field(model, given, field) -> None:
    assert refused(model, given).facts["field"] == field


def test_a_ticket_is_for_one_thing() -> None:
    detail = refused(NewTicket, {"generation": "gen_1", "conversation": "conv_1"}).detail
    assert detail == "The request takes a generation or a conversation, not both."
    assert validated(NewTicket, {}) == NewTicket()


def test_deep_or_endless_values_are_bounded_before_they_are_kept() -> None:
    metadata: object = 1
    for _ in range(150):
        metadata = [metadata]
    work = validated(NewGeneration, {"prompt": "a", "metadata": {"a": metadata}})
    assert work.metadata == {"a": metadata}


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (EventsQuery, {"wait": "nan"}),
        (EventsQuery, {"wait": "-0.1"}),
        (EventsQuery, {"wait": "30.1"}),
        (EventsQuery, {"after": "x" * 65}),
        (EventsQuery, {"ticket": "x" * 513}),
        (BranchPage, {"limit": "0"}),
        (BranchPage, {"limit": "51"}),
        (BranchPage, {"limit": "1.5"}),
        (GenerationPage, {"status": "lost"}),
        (GenerationPage, {"cursor": "x" * 257}),
    ],
)
def test_queries_are_bounded(model, given) -> None:
    with pytest.raises(ValueError, match="validation error"):
        model.model_validate_strings(given)
