"""Generations: handing in work, looking at it, stopping it, and the log that its readers follow."""

from dataclasses import dataclass
from typing import Any

from chatserver.access.allowance import Caller
from chatserver.chat.accepting import Accepting, Receipt, accepted_generation
from chatserver.chat.operations import idempotency
from chatserver.chat.resources import GenerationResource
from chatserver.engine.engine import Engine
from chatserver.engine.prompts import Prompts
from chatserver.errors import NotFound, StoreUnavailable
from chatserver.generation.clock import Clock
from chatserver.generation.feed import Feed
from chatserver.generation.ids import GENERATION, new_id
from chatserver.generation.log import StoredLog
from chatserver.generation.pieces import Channel, Delta, Ending, Piece, Started, ToolCalls
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Status
from chatserver.storage.generations import AcceptGeneration, Generations
from chatserver.storage.lifecycle import Cancel
from chatserver.storage.records import Generation, Page
from chatserver.storage.writer import Writer
from chatserver.upstream.fleet import Fleet


@dataclass(frozen=True, slots=True)
class HandedIn:
    """Work without a conversation, as it was validated."""

    #: What the model gets: messages, options, format, tools, think.
    request: dict[str, Any]
    model: str | None
    lane: Lane
    metadata: dict[str, Any] | None
    expires_in_s: float | None

    def body(self) -> dict[str, Any]:
        """Give what tells this work from other work handed in under the same key."""
        return {
            "request": self.request,
            "model": self.model,
            "priority": self.lane,
            "metadata": self.metadata,
            "expires_in": self.expires_in_s,
        }


@dataclass(frozen=True)
class Work:
    accepting: Accepting
    engine: Engine
    fleet: Fleet
    prompts: Prompts
    writer: Writer
    generations: Generations
    clock: Clock

    async def hand_in(self, caller: Caller, work: HandedIn, key: str | None) -> Receipt:
        """Accept work without a conversation: it is on disk when this returns."""
        known_by = idempotency(key, "hand_in", "", work.body())

        async def prepare() -> AcceptGeneration:
            model = work.model or await self.fleet.default_model()
            await self.prompts.check_length(model, work.request)
            now = self.clock.wall_ms()
            return AcceptGeneration(
                principal=caller.principal,
                generation_id=new_id(GENERATION),
                model=model,
                request=work.request,
                owner=None,
                lane=work.lane,
                metadata=work.metadata,
                expires_at=None if work.expires_in_s is None else now + round(1000 * work.expires_in_s),
                retry_of=None,
                idempotency=known_by,
                reply=accepted_generation,
                now_ms=now,
            )

        return await self.accepting.accept(caller, known_by, prepare)

    async def get(self, principal: Principal, generation: str) -> GenerationResource:
        record = await self.generations.get(principal, generation)
        return self.shown(record)

    async def page(
        self, principal: Principal, status: Status | None, limit: int, cursor: str | None
    ) -> Page[Generation]:
        return await self.generations.page(principal, status, limit, cursor)

    async def cancel(self, principal: Principal, generation: str) -> GenerationResource:
        """Note on disk that it is to end, then tell whoever works on it."""
        record = await self.writer.submit(Cancel(generation, principal, self.clock.wall_ms()))
        self.engine.cancel(generation)
        return self.shown(record)

    def shown(self, record: Generation) -> GenerationResource:
        here = None if record.status.ended else self.engine.feed(record.id)
        return GenerationResource.of(record, here[0] if here else None)

    async def feed(self, principal: Principal, generation: str) -> Feed:
        """Find the log of a generation, in memory or in the store."""
        here = self.engine.feed(generation)
        if here is None:
            record = await self.generations.get(principal, generation)
            # It may have been accepted, or ended, while the store was being read.
            here = self.engine.feed(generation)
            if here is None:
                return Feed(generation, stored_log(record))
        feed, owner = here
        if owner != principal:
            raise NotFound
        return feed


def stored_log(record: Generation) -> StoredLog:
    """Make the log of a finished generation out of what the store keeps of it."""
    if record.final is None or record.reason is None:
        raise StoreUnavailable("This answer is being taken up again; ask once more in a moment.")
    return StoredLog(_stored_pieces(record, with_start=record.final.n > 1), record.final)


def _stored_pieces(record: Generation, *, with_start: bool) -> list[Piece]:
    assert record.reason is not None
    pieces: list[Piece] = []
    if with_start:
        pieces.append(Started(record.model, record.attempts, context=record.context))
    if record.thinking:
        pieces.append(Delta(Channel.THINKING, record.thinking))
    if record.result:
        pieces.append(Delta(Channel.ANSWER, record.result))
    if record.tool_calls:
        pieces.append(ToolCalls(record.tool_calls))
    pieces.append(Ending(record.reason, record.sha256 or "", record.usage, record.error))
    return pieces
