"""Generations that the server makes for itself: like all others, but gone when they have served."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from chatserver.engine.engine import Engine
from chatserver.engine.job import Job
from chatserver.errors import StoreUnavailable
from chatserver.generation.clock import Clock
from chatserver.generation.ids import GENERATION, new_id
from chatserver.generation.pieces import Channel, Ending
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Purpose, Reason
from chatserver.storage.housekeeping import AcceptHousekeeping, ForgetHousekeeping
from chatserver.storage.writer import Writer

#: How often one is begun again that had to make way for somebody's turn.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that has ended well."""

    principal: Principal
    conversation: str
    #: The answer's.
    message: str
    model: str
    #: What the model was shown, as the context report says it.
    context: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """What a model made of a request."""

    text: str
    #: As the model counts them; None where it thought as well, which is counted together.
    tokens: int | None


@dataclass(frozen=True)
class Chores:
    engine: Engine
    writer: Writer
    clock: Clock
    #: Who waits for the end of each.
    _ends: dict[str, asyncio.Future[Ending | None]] = field(default_factory=dict)

    def done(self, job: Job) -> None:
        """Take note that a job is over."""
        end = self._ends.get(job.generation)
        if end is not None and not end.done():
            end.set_result(job.feed.log.ending)

    async def make(
        self, purpose: Purpose, about: Answered, messages: list[dict[str, Any]], most_tokens: int
    ) -> Made | None:
        """Have a model answer; None where it doesn't, or had to make way for somebody each time."""
        request = {
            "messages": messages,
            # A model that can think does so unless it is told not to.
            "think": False,
            "options": {"num_predict": most_tokens},
        }
        for _ in range(_TRIES):
            generation = new_id(GENERATION)
            try:
                job = await self._run(generation, purpose, about, request)
            finally:
                await self._forget(generation)
            reason = job.feed.log.ending.reason if job.feed.log.ending else None
            if reason is not Reason.CANCELLED:
                return _made(job) if reason in (Reason.COMPLETED, Reason.LENGTH) else None
        return None

    async def _run(self, generation: str, purpose: Purpose, about: Answered, request: dict[str, Any]) -> Job:
        """Accept it as everything is accepted, and wait for its end."""
        end = self._ends[generation] = asyncio.get_running_loop().create_future()
        # An account of its own for each conversation, so that nobody's allowance is touched.
        account = f"housekeeping {about.conversation}"
        try:
            with self.engine.admit(
                generation, about.principal, about.model, Lane.BACKGROUND, account=account, chore=True
            ) as admission:
                accepted = await self.writer.submit(
                    AcceptHousekeeping(
                        generation_id=generation,
                        principal=about.principal,
                        conversation=about.conversation,
                        purpose=purpose,
                        model=about.model,
                        request=request,
                        owner=self.engine.owner,
                        claimed=admission.slot is not None,
                        now_ms=self.clock.wall_ms(),
                    )
                )
                admission.accept(accepted)
            await end
        finally:
            del self._ends[generation]
        return admission.job

    async def _forget(self, generation: str) -> None:
        # What stays because the store is away goes at the next start.
        with suppress(StoreUnavailable):
            await self.writer.submit(ForgetHousekeeping(generation))


def _made(job: Job) -> Made:
    feed, ending = job.feed, job.feed.log.ending
    thought = bool(feed.log.text(Channel.THINKING))
    usage = ending.usage if ending else None
    return Made(feed.log.text(Channel.ANSWER), None if thought or usage is None else usage.completion_tokens)
