from chatserver.upstream.simulator.messages import Message, Tool
from chatserver.upstream.simulator.template import go_template, parse, render

TALK = [
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hi"),
    Message(role="assistant", content="Hello!"),
    Message(role="user", content="Bye"),
]


def test_messages_survive_rendering_and_parsing() -> None:
    text = render(TALK, [], continues=True)
    assert [(one.role, one.content) for one in parse(text)] == [(one.role, one.content) for one in TALK]
    assert text.endswith("<|im_start|>assistant\n")


def test_a_trailing_assistant_message_stays_open_where_the_model_can_go_on() -> None:
    begun = [*TALK, Message(role="assistant", content="See")]
    assert render(begun, [], continues=True).endswith("<|im_start|>assistant\nSee")
    assert render(begun, [], continues=False).endswith("See<|im_end|>\n<|im_start|>assistant\n")


def test_neighbours_of_one_role_are_joined_except_tools() -> None:
    text = render([Message(role="user", content="a"), Message(role="user", content="b")], [], continues=True)
    assert "<|im_start|>user\na\n\nb<|im_end|>" in text
    tools = render([Message(role="tool", content="1"), Message(role="tool", content="2")], [], continues=True)
    assert tools.count("<|im_start|>tool") == 2


def test_tools_and_their_calls_are_part_of_the_prompt() -> None:
    tool = Tool.model_validate({"function": {"name": "get_weather"}})
    called = Message(role="assistant", tool_calls=[{"function": {"name": "get_weather", "arguments": {}}}])
    text = render([*TALK, called, Message(role="tool", content="sunny")], [tool], continues=True)
    assert text.startswith("<|im_start|>system\nYou may call these tools:\n{")
    assert text.count("get_weather") == 2


def test_what_a_cut_left_of_a_message_is_still_read() -> None:
    messages = parse(
        "rest of a question<|im_end|>\n<|im_start|>user\nNext<|im_end|>\n<|im_start|>assistant\n"
    )
    assert [(one.role, one.content) for one in messages] == [("user", "rest of a question"), ("user", "Next")]


def test_plain_text_is_one_message_of_the_person() -> None:
    assert [(one.role, one.content) for one in parse("Just text")] == [("user", "Just text")]


def test_the_shown_template_tells_whether_the_last_turn_stays_open() -> None:
    assert "if not (and $last" in go_template(continues=True)
    assert "if not (and $last" not in go_template(continues=False)
