"""The chat template: messages to the text a model reads, and that text back to messages."""

import re
from collections.abc import Iterable, Sequence

import orjson

from chatserver.upstream.simulator.messages import Message, Tool
from chatserver.upstream.simulator.vocabulary import TURN_END, TURN_START

_TURN = re.compile(
    rf"{re.escape(TURN_START)}(?P<role>\w+)\n"
    rf"(?P<content>.*?)(?P<closed>{re.escape(TURN_END)}\n?|(?={re.escape(TURN_START)})|\Z)",
    re.DOTALL,
)
_TOOLS_INTRO = "You may call these tools:\n"


def go_template(*, continues: bool) -> str:
    """Return the template as Ollama shows it; `continues` leaves a trailing assistant message open."""
    closing = (
        '{{ if not (and $last (eq .Role "assistant")) }}<|im_end|>\n{{ end }}'
        if continues
        else "<|im_end|>\n"
    )
    opening = '{{- if and $last (ne .Role "assistant") }}' if continues else "{{- if $last }}"
    return (
        "{{- if .Tools }}<|im_start|>system\n"
        + _TOOLS_INTRO
        + "{{ range .Tools }}{{ . }}\n{{ end }}<|im_end|>\n"
        "{{ end }}{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 }}"
        "<|im_start|>{{ .Role }}\n{{ .Content }}{{ range .ToolCalls }}{{ . }}{{ end }}"
        + closing
        + opening
        + "<|im_start|>assistant\n{{ end }}{{- end }}"
    )


def render(messages: Sequence[Message], tools: Sequence[Tool], *, continues: bool) -> str:
    parts = [_render_tools(tools)] if tools else []
    joined = list(_collate(messages))
    parts += [f"{TURN_START}{role}\n{content}{TURN_END}\n" for role, content in joined]
    if continues and joined and joined[-1][0] == "assistant":
        parts[-1] = parts[-1].removesuffix(f"{TURN_END}\n")
    else:
        parts.append(f"{TURN_START}assistant\n")
    return "".join(parts)


def parse(text: str) -> list[Message]:
    """Read rendered text back; what stands before the first marker is the rest of somebody's message."""
    first = text.find(TURN_START)
    lost = text if first < 0 else text[:first]
    messages = [Message(role="user", content=lost.replace(TURN_END, "").strip("\n"))] if lost.strip() else []
    turns = (turn for turn in _TURN.finditer(text) if turn["content"] or turn["closed"])
    return [*messages, *(Message(role=turn["role"], content=turn["content"]) for turn in turns)]


def _collate(messages: Iterable[Message]) -> Iterable[tuple[str, str]]:
    """Join neighbours of one role, as Ollama does before it runs a template; tools stay apart."""
    role, content = "", ""
    for message in messages:
        if message.role == role and role != "tool":
            content = f"{content}\n\n{_content(message)}"
            continue
        if role:
            yield role, content
        role, content = message.role, _content(message)
    if role:
        yield role, content


def _content(message: Message) -> str:
    calls = "".join(orjson.dumps(call).decode() for call in message.tool_calls)
    return message.content + calls


def _render_tools(tools: Sequence[Tool]) -> str:
    listed = "".join(orjson.dumps(tool.model_dump()).decode() + "\n" for tool in tools)
    return f"{TURN_START}system\n{_TOOLS_INTRO}{listed}{TURN_END}\n"
