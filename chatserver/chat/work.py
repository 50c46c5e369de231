"""Generations: handing in work, looking at it, stopping it, and the log that its readers follow."""

from dataclasses import dataclass
from typing import Any

from chatserver.access.allowance import Caller
from chatserver.chat.accepting import Accepting, Receipt, accepted_generation
from chatserver.chat.idempotency import idempotency
from chatserver.chat.resources import GenerationResource
from chatserver.engine.engine import Engine
from chatserver.engine.peers import Peers
from chatserver.engine.prompts import Prompts
from chatserver.engine.stored import stored_log
from chatserver.errors import NotFound
from chatserver.generation.clock import Clock
from chatserver.generation.feed import Feed
from chatserver.generation.ids import GENERATION, new_id
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
    peers: Peers
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
                owner=self.engine.owner,
                claimed=False,
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
        if record.status.ended or self.peers.alone or self.engine.feed(generation):
            return self.shown(record)
        return GenerationResource.of(record, await self.peers.seen(generation))

    async def page(
        self, principal: Principal, status: Status | None, limit: int, cursor: str | None
    ) -> Page[Generation]:
        return await self.generations.page(principal, status, limit, cursor)

    async def cancel(self, principal: Principal, generation: str) -> GenerationResource:
        """Note on disk that it is to end, then tell whoever works on it."""
        record = await self.writer.submit(Cancel(generation, principal, self.clock.wall_ms()))
        self.engine.cancel(generation)
        self.peers.tell_cancelled(generation)
        return self.shown(record)

    def shown(self, record: Generation) -> GenerationResource:
        here = None if record.status.ended else self.engine.feed(record.id)
        return GenerationResource.of(record, here[0] if here else None)

    async def feed(self, principal: Principal, generation: str) -> Feed:
        """Find the log of a generation, in memory or in the store."""
        here = self.engine.feed(generation) or self.peers.followed(generation)
        if here is None:
            record = await self.generations.get(principal, generation)
            # It may have been accepted, or ended, while the store was being read.
            here = self.engine.feed(generation)
            if here is None:
                return await self._elsewhere(record)
        feed, owner = here
        if owner != principal:
            raise NotFound
        return feed

    async def _elsewhere(self, record: Generation) -> Feed:
        """Find the log of what another instance makes, or of what has ended."""
        if not record.status.ended and not self.peers.alone:
            return self.peers.feed(record)
        return await self.peers.kept(record) or Feed(record.id, stored_log(record))
