"""Between rows and records: which columns make a record, and a record's row when it is new."""

from typing import Any

from sqlalchemy import ColumnElement, Row, Select, literal, select

from chatserver.generation.pieces import Fault, Usage
from chatserver.generation.position import Position
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Purpose, Reason, Status
from chatserver.storage.records import Conversation, Counted, Generation, Message, Summary
from chatserver.storage.tables import conversations, generations, messages

_UNCOUNTED = {"tokens": None, "counter": None}


def select_conversations() -> Select[Any]:
    return select(conversations)


def select_messages() -> Select[Any]:
    """Messages, each with the generation that makes it."""
    return select(
        messages, generations.c.id.label("generation"), generations.c.status.label("status")
    ).outerjoin(generations, generations.c.message == messages.c.id)


def select_generations() -> Select[Any]:
    """Generations, each with the text of the message it makes."""
    return select(generations, messages.c.content.label("content")).outerjoin(
        messages, messages.c.id == generations.c.message
    )


def list_generations() -> Select[Any]:
    """As `select_generations`, but without their requests, which may have megabytes and aren't shown."""
    shown = [column for column in generations.c if column is not generations.c.request]
    nothing: ColumnElement[Any] = literal({}, generations.c.request.type).label("request")
    return select(*shown, nothing, messages.c.content.label("content")).outerjoin(
        messages, messages.c.id == generations.c.message
    )


def conversation_of(row: Row[Any]) -> Conversation:
    return Conversation(
        id=row.id,
        principal=Principal(row.tenant, row.user),
        title=row.title,
        title_by_hand=row.title_by_hand,
        title_made=row.title_made,
        model=row.model,
        system=row.system,
        leaf=row.leaf,
        change=row.change,
        own_change=row.own_change,
        created_at=row.created_at,
        active_at=row.active_at,
    )


def message_of(row: Row[Any], versions: tuple[str, ...]) -> Message:
    return Message(
        id=row.id,
        conversation=row.conversation,
        parent=row.parent,
        role=row.role,
        content=row.content,
        model=row.model,
        ref=row.ref,
        change=row.change,
        created_at=row.created_at,
        status=Status(row.status) if row.status else Status.COMPLETED,
        generation=row.generation,
        versions=versions,
    )


def generation_of(row: Row[Any]) -> Generation:
    status = Status(row.status)
    return Generation(
        id=row.id,
        principal=Principal(row.tenant, row.user),
        conversation=row.conversation,
        message=row.message,
        status=status,
        reason=Reason(row.reason) if row.reason else None,
        lane=Lane(row.lane),
        purpose=Purpose(row.purpose) if row.purpose else None,
        model=row.model,
        request=row.request,
        epoch=row.epoch,
        owner=row.owner,
        attempts=row.attempts,
        cancel=row.cancel,
        result=row.content if row.message and status.ended else row.result,
        thinking=row.thinking,
        tool_calls=row.tool_calls or [],
        sha256=row.sha256,
        usage=Usage(**row.usage) if row.usage else None,
        timings=row.timings,
        context=row.context,
        error=Fault(**row.error) if row.error else None,
        metadata=row.metadata,
        final=None if row.final_n is None else Position(row.final_epoch, row.final_n),
        expires_at=row.expires_at,
        retry_of=row.retry_of,
        change=row.change,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def summary_of(row: Row[Any]) -> Summary:
    return Summary(
        id=row.id,
        conversation=row.conversation,
        message=row.message,
        covers=row.covers,
        text=row.text,
        # SQLite has numbers for it.
        by_hand=bool(row.by_hand),
        created_at=row.created_at,
    )


def new_generation(
    *,
    id: str,  # noqa: A002 - the column's name
    principal: Principal,
    model: str,
    request: dict[str, Any],
    owner: str,
    claimed: bool,
    lane: Lane,
    now_ms: int,
    conversation: str | None = None,
    message: str | None = None,
    metadata: dict[str, Any] | None = None,
    expires_at: int | None = None,
    retry_of: str | None = None,
    change: int | None = None,
    purpose: Purpose | None = None,
) -> Generation:
    """A new one: claimed, it runs at once under the first epoch; else it waits at its owner."""
    return Generation(
        id=id,
        principal=principal,
        conversation=conversation,
        message=message,
        status=Status.RUNNING if claimed else Status.QUEUED,
        reason=None,
        lane=lane,
        purpose=purpose,
        model=model,
        request=request,
        epoch=int(claimed),
        owner=owner,
        attempts=int(claimed),
        cancel=False,
        result=None,
        thinking=None,
        tool_calls=[],
        sha256=None,
        usage=None,
        timings=None,
        context=None,
        error=None,
        metadata=metadata,
        final=None,
        expires_at=expires_at,
        retry_of=retry_of,
        change=change,
        created_at=now_ms,
        started_at=now_ms if claimed else None,
        ended_at=None,
    )


def row_of_generation(generation: Generation) -> dict[str, Any]:
    """What a new generation has; everything else is null until its end."""
    return {
        "id": generation.id,
        "tenant": generation.principal.tenant,
        "user": generation.principal.user,
        "conversation": generation.conversation,
        "message": generation.message,
        "status": generation.status.value,
        "lane": generation.lane.value,
        "purpose": generation.purpose,
        "model": generation.model,
        "request": generation.request,
        "epoch": generation.epoch,
        "owner": generation.owner,
        "attempts": generation.attempts,
        "cancel": generation.cancel,
        "metadata": generation.metadata,
        "expires_at": generation.expires_at,
        "retry_of": generation.retry_of,
        "change": generation.change,
        "created_at": generation.created_at,
        "started_at": generation.started_at,
    }


def row_of_conversation(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "tenant": conversation.principal.tenant,
        "user": conversation.principal.user,
        "title": conversation.title,
        "title_by_hand": conversation.title_by_hand,
        "title_made": conversation.title_made,
        "model": conversation.model,
        "system": conversation.system,
        "leaf": conversation.leaf,
        "change": conversation.change,
        "own_change": conversation.own_change,
        "created_at": conversation.created_at,
        "active_at": conversation.active_at,
    }


def row_of_message(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "conversation": message.conversation,
        "parent": message.parent,
        "role": message.role,
        "content": message.content,
        "model": message.model,
        "ref": message.ref,
        "change": message.change,
        "created_at": message.created_at,
    }


def columns_of_count(counted: Counted | None) -> dict[str, Any]:
    """How many tokens a message's content has, where that was counted."""
    return {"tokens": counted.tokens, "counter": counted.counter} if counted else _UNCOUNTED


def row_of_summary(summary: Summary) -> dict[str, Any]:
    return {
        "id": summary.id,
        "conversation": summary.conversation,
        "message": summary.message,
        "covers": summary.covers,
        "text": summary.text,
        "by_hand": summary.by_hand,
        "created_at": summary.created_at,
    }
