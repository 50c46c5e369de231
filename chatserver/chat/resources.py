"""Conversations, messages and generations as they are given to the outside."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from chatserver.context.report import counted
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel
from chatserver.generation.position import START
from chatserver.generation.states import Lane, Reason, Status
from chatserver.storage.records import Conversation, Generation, Message, Summary
from chatserver.wire.frames import fault_json, usage_json


class Resource(BaseModel):
    model_config = ConfigDict(frozen=True)


class ConversationResource(Resource):
    """A conversation; its messages are read beside it."""

    id: str
    title: str | None
    model: str | None = Field(description="The model that answers here; null for the server's default.")
    system: str | None = Field(description="The system prompt.")
    leaf: str | None = Field(description="The message at which the current branch ends.")
    change: int = Field(description="The number of the newest change of anything in it.")
    created_at: str
    active_at: str

    @classmethod
    def of(cls, record: Conversation) -> Self:
        return cls(
            id=record.id,
            title=record.title,
            model=record.model,
            system=record.system,
            leaf=record.leaf,
            change=record.change,
            created_at=timestamp(record.created_at),
            active_at=timestamp(record.active_at),
        )


class SummaryResource(Resource):
    """What the model is told in short of messages that it isn't shown."""

    text: str
    message: str | None = Field(
        description="The newest message it stands for; null before it stands for any, then it counts on all "
        "branches."
    )
    covers: int = Field(description="How many messages that makes.")
    by_hand: bool = Field(description="Somebody's own words, which the next one is made from.")
    created_at: str

    @classmethod
    def of(cls, record: Summary) -> Self:
        return cls(
            text=record.text,
            message=record.message,
            covers=record.covers,
            by_hand=record.by_hand,
            created_at=timestamp(record.created_at),
        )


class MessageResource(Resource):
    """What a person wrote, or an answer."""

    id: str
    conversation: str
    parent: str | None
    role: str
    content: str = Field(description="Empty until an answer has ended.")
    model: str | None
    status: Status = Field(description="An answer has the status of its generation.")
    generation: str | None = Field(description="The generation that makes it, if it is an answer.")
    versions: Sequence[str] = Field(description="The messages under the same parent, itself among them.")
    ref: str | None = Field(description="The key its sender gave it.")
    created_at: str

    @classmethod
    def of(cls, record: Message) -> Self:
        return cls(
            id=record.id,
            conversation=record.conversation,
            parent=record.parent,
            role=record.role,
            content=record.content,
            model=record.model,
            status=record.status,
            generation=record.generation,
            versions=record.versions,
            ref=record.ref,
            created_at=timestamp(record.created_at),
        )


class UsageResource(Resource):
    prompt_tokens: int
    completion_tokens: int


class FaultResource(Resource):
    code: str
    detail: str


class GenerationResource(Resource):
    """One answer: on its way, or as it ended."""

    id: str
    conversation: str | None
    message: str | None = Field(description="The answer's own message; null for handed-in work.")
    status: Status
    reason: Reason | None = Field(description="Why it ended; null until then.")
    priority: Lane
    model: str
    result: str = Field(description="The text so far.")
    thinking: str | None
    tool_calls: list[dict[str, Any]]
    after: str = Field(description="The position that `result` reaches; events go on from there.")
    position: int | None = Field(description="The place in the queue, 1 being the next.")
    eta_ms: int | None = Field(description="An estimate of the time until it starts.")
    usage: UsageResource | None
    timings: dict[str, Any] | None
    context: dict[str, Any] | None = Field(description="What the model was shown of the conversation.")
    error: FaultResource | None
    sha256: str | None = Field(description="SHA-256 of the whole answer, once it has ended.")
    attempts: int
    metadata: dict[str, Any] | None
    retry_of: str | None
    created_at: str
    started_at: str | None
    ended_at: str | None
    expires_at: str | None

    @classmethod
    def of(cls, record: Generation, feed: Feed | None = None) -> Self:
        """Show a generation; what is still on its way is read from its feed."""
        live = _live_members(feed) if feed is not None and not record.status.ended else {}
        return cls.model_validate(_stored_members(record) | live)


def _stored_members(record: Generation) -> dict[str, Any]:
    return {
        "id": record.id,
        "conversation": record.conversation,
        "message": record.message,
        "status": record.status,
        "reason": record.reason,
        "priority": record.lane,
        "model": record.model,
        "result": record.result or "",
        "thinking": record.thinking,
        "tool_calls": record.tool_calls,
        "after": str(record.final or START),
        "position": None,
        "eta_ms": None,
        "usage": usage_json(record.usage),
        "timings": record.timings,
        "context": _context(record),
        "error": fault_json(record.error),
        "sha256": record.sha256,
        "attempts": record.attempts,
        "metadata": record.metadata,
        "retry_of": record.retry_of,
        "created_at": timestamp(record.created_at),
        "started_at": _timestamp_or_none(record.started_at),
        "ended_at": _timestamp_or_none(record.ended_at),
        "expires_at": _timestamp_or_none(record.expires_at),
    }


def _context(record: Generation) -> dict[str, Any] | None:
    if record.context is None:
        return None
    # A server that counts nothing says so by a zero.
    usage = record.usage.prompt_tokens if record.usage else None
    return counted(record.context, usage or None)


def _live_members(feed: Feed) -> dict[str, Any]:
    log, place = feed.log, feed.place
    return {
        "result": log.text(Channel.ANSWER),
        "thinking": log.text(Channel.THINKING) or None,
        "tool_calls": log.tool_calls(),
        "after": str(log.position),
        "position": place.position if place else None,
        "eta_ms": place.eta_ms if place else None,
    }


# Of those that come together, and of one turn, most times are the same.
@lru_cache(maxsize=256)
def timestamp(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _timestamp_or_none(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else timestamp(milliseconds)
