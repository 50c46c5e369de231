import pytest

from chatserver.upstream.simulator.answers.compose import compose
from chatserver.upstream.simulator.answers.reading import Reading
from chatserver.upstream.simulator.messages import Message, Tool


def tool(name: str, description: str = "", required: tuple[str, ...] = (), **properties: dict) -> Tool:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return Tool.model_validate(
        {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
    )


WEATHER = tool(
    "get_weather",
    "Get the current weather for a city",
    ("city", "days", "unit"),
    city={"type": "string"},
    days={"type": "integer"},
    unit={"enum": ["celsius", "fahrenheit"]},
    detail={"type": "boolean"},
)
CLOCK = tool("tell_time", "Tell the local time of a place", ("place",), place={"type": "string"})


def calls(reading, question: str) -> list[tuple[str, dict]]:
    made = compose(reading(question), tools=[WEATHER, CLOCK]).tool_calls
    return [(call["function"]["name"], call["function"]["arguments"]) for call in made]


def test_the_tool_that_fits_the_question_is_called_with_what_it_says(reading) -> None:
    wanted = {"city": "New York", "days": 3, "unit": "fahrenheit"}
    assert calls(reading, "What's the weather in New York for 3 days, in fahrenheit?") == [
        ("get_weather", wanted)
    ]


def test_missing_arguments_get_something_valid(reading) -> None:
    assert calls(reading, "weather?") == [("get_weather", {"city": "weather?", "days": 1, "unit": "celsius"})]


def test_every_tool_that_is_named_is_called(reading) -> None:
    assert [name for name, _ in calls(reading, 'Call get_weather and tell_time for "Rome"')] == [
        "get_weather",
        "tell_time",
    ]


@pytest.mark.parametrize("question", ["Hello!", "Write a poem", "What is my name?"])
def test_other_questions_are_answered_without_tools(reading, question: str) -> None:
    answer = compose(reading(question), tools=[WEATHER, CLOCK])
    assert answer.pieces
    assert not answer.tool_calls


def test_calls_have_an_id_like_ollamas_and_are_numbered(reading) -> None:
    made = compose(reading("get_weather and tell_time"), tools=[WEATHER, CLOCK]).tool_calls
    assert [call["function"]["index"] for call in made] == [0, 1]
    assert all(call["id"].startswith("call_") and len(call["id"]) == 13 for call in made)


def test_what_a_tool_answered_is_told_and_not_asked_again() -> None:
    messages = [
        Message(role="user", content="What's the weather in Rome?"),
        Message(role="assistant", tool_calls=[{"function": {"name": "get_weather", "arguments": {}}}]),
        Message(role="tool", content="19 degrees and sunny", tool_name="get_weather"),
    ]
    answer = compose(Reading("sim", messages, 1), tools=[WEATHER])
    assert not answer.tool_calls
    assert "19 degrees and sunny" in "".join(answer.pieces)
