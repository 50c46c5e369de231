"""Conversations in the store that nobody had to answer, and what follows their answers."""

from typing import Any

from chatserver.engine.chores import Answered, Chores
from chatserver.generation.ids import GENERATION, MESSAGE, new_id
from chatserver.generation.pieces import Usage
from chatserver.generation.position import Position
from chatserver.generation.states import Lane, Reason, Status
from chatserver.storage.lifecycle import Finish
from chatserver.storage.records import Conversation, Generation, Stored
from chatserver.storage.turns import AcceptTurn, Current
from tests.unit.works import MODEL, Works


async def asked(works: Works, conversation: Conversation, said: str, **request: Any) -> Generation:
    """A turn in the store alone, which nobody answers."""
    accepted = await works.parts.store.writer.submit(
        AcceptTurn(
            principal=conversation.principal,
            conversation=conversation.id,
            content=said,
            parent=Current.LEAF,
            model=MODEL,
            request=request,
            message_id=new_id(MESSAGE),
            answer_id=new_id(MESSAGE),
            generation_id=new_id(GENERATION),
            owner="nobody",
            claimed=True,
            lane=Lane.INTERACTIVE,
            ref=None,
            idempotency=None,
            title=said,
            reply=lambda _: Stored(202, b"{}"),
            now_ms=1,
        )
    )
    return accepted.generation


async def answered(works: Works, conversation: Conversation, said: str, answer: str) -> Answered:
    """A turn that was answered in the store alone."""
    generation = await asked(works, conversation, said)
    assert await works.parts.store.writer.submit(
        Finish(
            generation_id=generation.id,
            epoch=1,
            status=Status.COMPLETED if answer else Status.FAILED,
            reason=Reason.COMPLETED if answer else Reason.UPSTREAM_ERROR,
            answer=answer,
            thinking=None,
            tool_calls=[],
            usage=Usage(1, 1),
            timings=None,
            sha256="",
            final=Position(1, 3),
            error=None,
            context=None,
            now_ms=1,
        )
    )
    assert generation.message is not None
    return Answered(conversation.principal, conversation.id, generation.message, MODEL, {})


def chores_of(works: Works) -> Chores:
    """Chores that the engine reports to, and nothing that follows answers by itself."""
    chores = Chores(works.engine, works.parts.store.writer, works.parts.clock)
    works.engine.on_done = chores.done
    return chores
