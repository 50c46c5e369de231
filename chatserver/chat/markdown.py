"""A conversation as a text to read: all that was said, in the order in which it was said."""

from collections.abc import Iterator, Mapping, Sequence

from chatserver.chat.resources import timestamp
from chatserver.generation.states import Status
from chatserver.storage.records import Conversation, Message

#: Characters of a message by which it is known again.
OPENING = 60


def beginning(conversation: Conversation) -> str:
    title = _one_line(conversation.title or "Conversation")
    system = _quoted(conversation.system) + "\n\n" if conversation.system else ""
    return f"# {title}\n\n*Begun {timestamp(conversation.created_at)}*\n\n{system}"


def followed_elsewhere(messages: Sequence[Message], above: str | None) -> set[str]:
    """Find those that are followed here, but not right above: where another branch begins or goes on."""
    return {each.parent for each, before in _pairs(messages, above) if each.parent and each.parent != before}


def written(messages: Sequence[Message], above: str | None, openings: Mapping[str, str]) -> str:
    """Write messages down; `above` is the one before them, `openings` tell how those elsewhere begin."""
    return "".join(
        f"## {_speaker(each)}\n\n{_turned_back(each, before, openings)}{each.content}\n\n{_left_undone(each)}"
        for each, before in _pairs(messages, above)
    )


def _pairs(messages: Sequence[Message], above: str | None) -> Iterator[tuple[Message, str | None]]:
    return zip(messages, [above, *(each.id for each in messages[:-1])], strict=True)


def _speaker(message: Message) -> str:
    if message.role == "user":
        return f"You · {timestamp(message.created_at)}"
    return _one_line(message.model or "Answer")


def _turned_back(message: Message, before: str | None, openings: Mapping[str, str]) -> str:
    if message.parent == before:
        return ""
    if message.parent is None:
        return "*From the beginning again:*\n\n"
    return f"*Back at “{_one_line(openings.get(message.parent, ''))}…”:*\n\n"


def _left_undone(message: Message) -> str:
    return "" if message.status is Status.COMPLETED else f"*({message.status})*\n\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())
