"""The ends of runs: committed first, then shown."""

from dataclasses import dataclass
from typing import Any

import structlog

from chatserver.engine.job import Job
from chatserver.engine.patience import PatientWriter
from chatserver.engine.peers import Peers
from chatserver.engine.prompts import Prompts
from chatserver.errors import ChatserverError, StaleEpoch, StoreUnavailable, UpstreamError
from chatserver.generation.clock import Clock
from chatserver.generation.pieces import Channel, Ending, Fault
from chatserver.generation.position import Position
from chatserver.generation.states import Lane, Reason, Status, final_status
from chatserver.storage.lifecycle import Finish
from chatserver.telemetry.metrics import Metrics
from chatserver.wire.ollama import Done

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    reason: Reason
    done: Done | None = None
    fault: Fault | None = None
    #: Handed-in work that was tried as often as it may be.
    spent: bool = False


def failed(error: ChatserverError, *, spent: bool) -> Outcome:
    reason = Reason(error.reason) if isinstance(error, UpstreamError) else Reason.INTERRUPTED
    return Outcome(reason, fault=Fault(error.code, error.detail), spent=spent)


@dataclass(frozen=True)
class Endings:
    prompts: Prompts
    peers: Peers
    writer: PatientWriter
    clock: Clock
    metrics: Metrics
    #: How often handed-in work is tried.
    most_attempts: int

    async def end(self, job: Job, outcome: Outcome) -> None:
        """Commit the end, then show it: no reader sees an end that isn't kept."""
        feed = job.feed
        usage = outcome.done.usage if outcome.done else None
        ending = Ending(outcome.reason, feed.log.sha256(), usage, outcome.fault)
        status = final_status(outcome.reason, spent=outcome.spent)
        final = Position(job.epoch, feed.log.top + 1)
        await self._commit(job, await self._finish(job, ending, final, status, outcome.done))
        if not feed.log.ended:
            feed.add(ending)
        self.metrics.ended(status, outcome.reason)
        if usage is not None:
            self.metrics.tokens(prompt=usage.prompt_tokens, completion=usage.completion_tokens)
        code = outcome.fault.code if outcome.fault else None
        log.info("ended", reason=outcome.reason, code=code, attempt=job.attempt)

    async def save_shared(self, job: Job) -> None:
        """Store the end that the last owner could only share."""
        ending = job.feed.log.ending
        assert ending is not None
        spent = job.lane is Lane.BACKGROUND and job.attempt >= self.most_attempts
        status = final_status(ending.reason, spent=spent)
        await self._commit(job, await self._finish(job, ending, job.feed.log.position, status))

    async def _commit(self, job: Job, finish: Finish) -> None:
        try:
            stored = await self.writer.try_once(finish)
        except StoreUnavailable:
            await self._share(job, finish)
            stored = await self.writer.submit(finish)
        if not stored:
            raise StaleEpoch(f"{job.generation} has ended elsewhere.")

    async def _share(self, job: Job, finish: Finish) -> None:
        """While the store is away, an end is kept where whoever claims this next will find it."""
        ending = Ending(finish.reason, finish.sha256, finish.usage, finish.error)
        if not job.feed.log.ended and await self.peers.share_end(job, ending):
            job.feed.add(ending)

    async def _finish(
        self, job: Job, ending: Ending, final: Position, status: Status, done: Done | None = None
    ) -> Finish:
        feed, record, now = job.feed, job.record, self.clock.wall_ms()
        assert record is not None
        answer = feed.log.text(Channel.ANSWER)
        return Finish(
            generation_id=job.generation,
            epoch=job.epoch,
            status=status,
            reason=ending.reason,
            answer=answer,
            thinking=feed.log.text(Channel.THINKING) or None,
            tool_calls=feed.log.tool_calls(),
            usage=ending.usage,
            timings=_timings(record.created_at, job, now, done),
            sha256=ending.sha256,
            final=final,
            error=ending.error,
            context=record.context,
            now_ms=now,
            counted=await self.prompts.count(job.model, answer) if record.message else None,
            recounted=job.prompt.recounted if job.prompt else {},
        )

    def end_deleted(self, job: Job) -> None:
        """Give readers their end where the store has nothing left that could end."""
        if not job.epoch:
            assert job.record is not None
            job.feed.begin(job.record.epoch + 1, job.feed.log.top)
        job.feed.add(Ending(Reason.CANCELLED, job.feed.log.sha256(), None, None))
        self.metrics.ended(Status.CANCELLED, Reason.CANCELLED)
        log.info("ended", reason=Reason.CANCELLED, deleted=True)


def _timings(created_at: int, job: Job, now: int, done: Done | None) -> dict[str, Any]:
    ours = {"total_ms": now - created_at, "first_token_ms": job.first_token_ms}
    return {**ours, "model": done.timings if done else None}
