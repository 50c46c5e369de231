"""What the store gives: rows as frozen values, decoded. Times are milliseconds since the epoch."""

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from chatserver.generation.pieces import Fault, Usage
from chatserver.generation.position import Position
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Purpose, Reason, Status

T = TypeVar("T")
Role = Literal["user", "assistant", "system", "tool"]


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    principal: Principal
    title: str | None
    #: A person has set it: nothing automatic may overwrite it.
    title_by_hand: bool
    #: A model has made it: it needs no other.
    title_made: bool
    model: str | None
    system: str | None
    #: The message at which the current branch ends; None while there is none.
    leaf: str | None
    #: The highest number given to a change of anything in the conversation.
    change: int
    #: The number of the last change of the conversation itself.
    own_change: int
    created_at: int
    active_at: int


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    conversation: str
    parent: str | None
    role: Role
    #: Empty while the answer is being made.
    content: str
    model: str | None
    #: The key under which its sender handed it in.
    ref: str | None
    change: int
    created_at: int
    #: An answer's is its generation's; what a person wrote is complete.
    status: Status
    #: The generation that makes it, if it is an answer.
    generation: str | None
    #: The messages under the same parent in order, this one among them.
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    id: str
    principal: Principal
    conversation: str | None
    #: The answer's message; None for handed-in work.
    message: str | None
    status: Status
    reason: Reason | None
    lane: Lane
    #: Of housekeeping; None for what people asked for.
    purpose: Purpose | None
    model: str
    #: What the model is asked for; lists don't read it.
    request: dict[str, Any]
    epoch: int
    owner: str | None
    attempts: int
    cancel: bool
    #: The text, wherever it is kept; None until the end.
    result: str | None
    thinking: str | None
    tool_calls: list[dict[str, Any]]
    sha256: str | None
    usage: Usage | None
    timings: dict[str, Any] | None
    context: dict[str, Any] | None
    error: Fault | None
    metadata: dict[str, Any] | None
    final: Position | None
    expires_at: int | None
    retry_of: str | None
    #: The number of its last change in its conversation.
    change: int | None
    created_at: int
    started_at: int | None
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class TextSoFar:
    """What was saved of an answer that is still being made, by its newest attempt."""

    attempt: int
    answer: str
    thinking: str


@dataclass(frozen=True, slots=True)
class Counted:
    """How many tokens a text has, by which counter."""

    tokens: int
    counter: str


@dataclass(frozen=True, slots=True)
class Said:
    id: str
    role: Role
    content: str
    #: How many messages the branch has down to this one; None where an older version wrote it.
    depth: int | None
    #: None until it was counted.
    counted: Counted | None


@dataclass(frozen=True, slots=True)
class Transcript:
    """A branch as a prompt needs it, newest first."""

    system: str | None
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands for the beginning of a branch."""

    id: str
    conversation: str
    #: The newest message it stands for; None while it stands for none.
    message: str | None
    #: How many messages of the branch that makes.
    covers: int
    text: str
    by_hand: bool
    created_at: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """What answers in a conversation: None for the server's default."""

    model: str | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    #: What to give to get the page after this one; None at the end.
    next: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """Something in a conversation as it is now, and the number of its last change."""

    kind: Literal["message", "generation", "conversation"]
    number: int
    item: Message | Generation | Conversation


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The key that makes a request one operation, however often it is sent, and what tells it from others."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer as it was given: HTTP status and JSON."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Created:
    conversation: Conversation
    #: The answer that was given the first time, when this is a repeat.
    replayed: Stored | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    #: What the person wrote; None for handed-in work.
    message: Message | None
    generation: Generation
    #: The answer that was given the first time, when this is a repeat.
    replayed: Stored | None = None
