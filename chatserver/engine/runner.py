"""One run: from a claimed generation and a slot to its end on disk."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson
import structlog

from chatserver.engine.job import Job
from chatserver.engine.patience import Patience
from chatserver.engine.peers import Peers
from chatserver.engine.prompts import Prompt, Prompts
from chatserver.engine.slots import Hold, Slot, Slots
from chatserver.errors import (
    ChatserverError,
    ContextTooLong,
    NotFound,
    StaleEpoch,
    Unreachable,
    UpstreamError,
)
from chatserver.generation.clock import Clock
from chatserver.generation.pieces import Channel, Delta, Ending, Fault, Reset, Started, ToolCalls
from chatserver.generation.position import Position
from chatserver.generation.states import Lane, Reason, Status, final_status
from chatserver.settings import GenerationSettings
from chatserver.storage.command import Command
from chatserver.storage.lifecycle import BeginAttempt, Claim, Finish
from chatserver.storage.records import Generation
from chatserver.storage.writer import Writer
from chatserver.telemetry.metrics import Metrics
from chatserver.upstream.client import OllamaClient
from chatserver.upstream.fleet import Fleet
from chatserver.wire.ollama import Done

#: Pause before the store is asked again, in seconds; the longest where each try only finds the same error.
_ASK_AGAIN = 0.5
_ASK_RARELY = 30.0

_OUR_FAULT = Fault("internal_error", "The server failed while this answer was being made.")

log = structlog.get_logger()

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Outcome:
    reason: Reason
    done: Done | None = None
    fault: Fault | None = None
    #: Handed-in work that was tried as often as it may be.
    spent: bool = False


class _TextFullError(Exception):
    """The answer has reached our own bound on its length."""


class _StoppedError(Exception):
    """The run was asked to end."""


@dataclass(frozen=True)
class Runner:
    prompts: Prompts
    peers: Peers
    fleet: Fleet
    slots: Slots
    writer: Writer
    clock: Clock
    metrics: Metrics
    patience: Patience
    options: GenerationSettings
    #: Who runs: written into every claim.
    owner: str
    #: Waits in the queue for another slot, after so many seconds.
    slot_for: Callable[[Job, float], Awaitable[Slot]]
    #: Gives a slot back and lets the next one have it.
    give_back: Callable[[Slot], None]

    async def run(self, job: Job, slot: Slot) -> None:
        """Bring a job to its end."""
        async with self._ended_anyhow(job):
            with Hold(slot, self.give_back) as hold:
                await self._own(job, attempt=True)
                if job.feed.log.ended:
                    await self._save_end(job)
                    return
                outcome = await self._outcome(job, hold)
            await self._end(job, outcome)

    async def end_without_running(self, job: Job, outcome: Outcome) -> None:
        """End what has its text already, or never had any."""
        async with self._ended_anyhow(job):
            await self._own(job, attempt=False)
            if job.feed.log.ended:
                await self._save_end(job)
            else:
                await self._end(job, outcome)

    @asynccontextmanager
    async def _ended_anyhow(self, job: Job) -> AsyncIterator[None]:
        """Whatever of ours fails, a job that is still ours comes to an end: its readers wait for that."""
        try:
            yield
        except StaleEpoch:
            job.fenced = True
            raise
        except NotFound:
            self._end_deleted(job)
        except Exception:
            log.exception("run_failed")
            await self._end_after_failure(job)

    async def _end_after_failure(self, job: Job) -> None:
        """End it with the text so far; while the store refuses even that, try again, ever more rarely."""
        pause = _ASK_AGAIN
        while not job.feed.log.ended:
            try:
                await self._own(job, attempt=False)
                # What was asked for is no interruption, whatever else went wrong.
                interrupted = Outcome(Reason.INTERRUPTED, fault=_OUR_FAULT)
                await self._end(job, Outcome(job.stopped) if job.stopped else interrupted)
            except StaleEpoch:
                raise
            except NotFound:
                self._end_deleted(job)
            except Exception:
                log.exception("end_failed")
                await asyncio.sleep(pause)
                pause = min(2 * pause, _ASK_RARELY)

    def _end_deleted(self, job: Job) -> None:
        """Give readers their end where the store has nothing left that could end."""
        if not job.epoch:
            assert job.record is not None
            job.feed.begin(job.record.epoch + 1, job.feed.log.top)
        job.feed.add(Ending(Reason.CANCELLED, job.feed.log.sha256(), None, None))
        self.metrics.ended(Status.CANCELLED, Reason.CANCELLED)
        log.info("ended", reason=Reason.CANCELLED, deleted=True)

    async def _own(self, job: Job, *, attempt: bool) -> None:
        """Claim the job unless that was done when it was accepted; whatever ends is claimed before."""
        if not job.epoch:
            assert job.record is not None
            claim = Claim(job.generation, self.owner, job.record.epoch, self.clock.wall_ms(), attempt)
            claimed = await self._save(claim)
            if claimed is None:
                raise StaleEpoch(f"{job.generation} is not there to be claimed.")
            job.epoch, job.attempt = claimed.epoch, claimed.attempts
            if claimed.cancel:
                job.stop(Reason.CANCELLED)
            await self.patience.ask("shared log", lambda: self.peers.take_up(job))
        if not job.feed.log.ended:
            job.feed.begin(job.epoch, job.feed.log.top)
            self.peers.share(job)

    async def _outcome(self, job: Job, hold: Hold) -> Outcome:
        try:
            async with self._stoppable(job):
                return await self._attempts(job, hold)
        except _StoppedError:
            assert job.stopped is not None
            if job.fenced:
                raise StaleEpoch(f"{job.generation} has another owner.") from None
            return Outcome(job.stopped)
        except ContextTooLong as error:
            return _failed(error, spent=False)
        except NotFound:
            raise
        except Exception:
            log.exception("run_failed")
            return Outcome(Reason.INTERRUPTED, fault=_OUR_FAULT)

    @asynccontextmanager
    async def _stoppable(self, job: Job) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        if job.stopped is not None:
            raise _StoppedError
        try:
            async with asyncio.timeout(None) as scope:
                job.on_stop(lambda: scope.reschedule(loop.time()))
                yield
        except TimeoutError:
            if job.stopped is None:
                raise
            raise _StoppedError from None
        finally:
            job.on_stop(None)

    async def _attempts(self, job: Job, hold: Hold) -> Outcome:
        """Try until there is an answer, or no more may be tried."""
        if job.feed.log.top > job.feed.log.begins_at:
            # What an earlier owner has shown.
            job.feed.add(Reset())
        while True:
            try:
                return await self._attempt(job, hold)
            except UpstreamError as error:
                self.metrics.upstream_request(error.code)
                spent = job.lane is Lane.BACKGROUND and job.attempt >= self.options.attempts
                if job.lane is not Lane.BACKGROUND or not error.passing or spent:
                    return _failed(error, spent=spent)
                log.info("attempt_failed", code=error.code)
            hold.release()
            hold.take(await self.slot_for(job, _backoff(job.attempt, self.options)))
            await self._begin_again(job)

    async def _attempt(self, job: Job, hold: Hold) -> Outcome:
        """Ask one server after the other, as long as nothing has come from any of them."""
        record, prompt = await self._prompt(job)
        job.feed.add(Started(record.model, job.attempt, context=prompt.report))
        begun = job.feed.log.top
        tried: set[OllamaClient] = set()
        while True:
            try:
                return await self._ask(job, hold.client, prompt.body)
            except UpstreamError as error:
                tried.add(hold.client)
                if job.feed.log.top > begun or not error.elsewhere:
                    raise
                slot = await self._slot_elsewhere(job, tried, error)
                if slot is None:
                    raise
                self.metrics.upstream_request(error.code)
                log.info("another_upstream", code=error.code)
                hold.take(slot)

    async def _slot_elsewhere(self, job: Job, tried: set[OllamaClient], error: UpstreamError) -> Slot | None:
        if isinstance(error, Unreachable):
            for client in tried:
                self.fleet.lost(client)
        others = [client for client in self.fleet.hosts(job.model) if client not in tried]
        slot = self.slots.take(job.model, avoid=tried)
        if slot is None and others and isinstance(error, Unreachable):
            slot = await self.slot_for(job, 0)
            if slot.client in tried:
                # Where nobody is known to have the model, the lost ones are still in the choice.
                self.give_back(slot)
                return None
        return slot

    async def _prompt(self, job: Job) -> tuple[Generation, Prompt]:
        record = job.record
        assert record is not None
        prompt = await self.patience.ask("prompt", lambda: self.prompts.build(record))
        job.prompt, job.record = prompt, replace(record, context=prompt.report)
        return record, prompt

    async def _ask(self, job: Job, client: OllamaClient, body: dict[str, Any]) -> Outcome:
        meter = _Meter(job, self.clock, self.metrics, self.options.max_text_bytes)
        try:
            async with asyncio.timeout(self.options.max_duration_s) as longest:
                done = await client.chat(body, meter.take)
        except _TextFullError:
            return Outcome(Reason.LENGTH)
        except TimeoutError:
            if longest.expired():
                return Outcome(Reason.LENGTH)
            raise
        self.metrics.upstream_request("ok")
        self._learn(job, done)
        return Outcome(Reason.LENGTH if done.reason == "length" else Reason.COMPLETED, done)

    def _learn(self, job: Job, done: Done) -> None:
        """Hold the model's count of the prompt against ours; some reports don't have one."""
        if job.prompt is not None and done.usage.prompt_tokens:
            verdict = self.prompts.measures.learn(job.model, job.prompt.sent, done.usage.prompt_tokens)
            self.metrics.prompt_counted(verdict)

    async def _begin_again(self, job: Job) -> None:
        attempt = job.attempt + 1
        if not await self._save(BeginAttempt(job.generation, job.epoch, attempt)):
            raise StaleEpoch(f"{job.generation} has another owner.")
        # In one step: a checkpoint must not take the old text for the new attempt's.
        job.attempt = attempt
        job.feed.add(Reset())

    async def _end(self, job: Job, outcome: Outcome) -> None:
        """Commit the end, then show it: no reader sees an end that the store doesn't have."""
        feed = job.feed
        usage = outcome.done.usage if outcome.done else None
        ending = Ending(outcome.reason, feed.log.sha256(), usage, outcome.fault)
        status = final_status(outcome.reason, spent=outcome.spent)
        await self._finish(job, ending, Position(job.epoch, feed.log.top + 1), status, outcome.done)
        feed.add(ending)
        self.metrics.ended(status, outcome.reason)
        if usage is not None:
            self.metrics.tokens(prompt=usage.prompt_tokens, completion=usage.completion_tokens)
        code = outcome.fault.code if outcome.fault else None
        log.info("ended", reason=outcome.reason, code=code, attempt=job.attempt)

    async def _save_end(self, job: Job) -> None:
        """Store the end that the last owner could only share."""
        ending = job.feed.log.ending
        assert ending is not None
        spent = job.lane is Lane.BACKGROUND and job.attempt >= self.options.attempts
        await self._finish(job, ending, job.feed.log.position, final_status(ending.reason, spent=spent))

    async def _finish(
        self, job: Job, ending: Ending, final: Position, status: Status, done: Done | None = None
    ) -> None:
        feed, record, now = job.feed, job.record, self.clock.wall_ms()
        assert record is not None
        answer = feed.log.text(Channel.ANSWER)
        finish = Finish(
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
        if not await self._save(finish):
            raise StaleEpoch(f"{job.generation} has ended elsewhere.")

    async def _save(self, command: Command[R]) -> R:
        return await self.patience.ask(type(command).__name__, lambda: self.writer.submit(command))


class _Meter:
    """Takes what the model says into the log, measures it, and holds it to its bound."""

    def __init__(self, job: Job, clock: Clock, metrics: Metrics, most_bytes: int) -> None:
        self._job = job
        self._clock = clock
        self._metrics = metrics
        self._left = most_bytes
        self._asked = clock.now()
        self._last: float | None = None

    def take(self, pieces: Sequence[Delta | ToolCalls]) -> None:
        self._measure()
        for piece in pieces:
            text = piece.text.encode() if isinstance(piece, Delta) else orjson.dumps(piece.calls)
            self._left -= len(text)
        if self._left < 0:
            raise _TextFullError
        self._job.feed.extend(pieces)

    def _measure(self) -> None:
        now = self._clock.now()
        if self._last is None:
            self._job.first_token_ms = round(1000 * (now - self._asked))
            self._metrics.first_token(self._job.lane, now - self._asked)
        else:
            self._metrics.between_tokens(now - self._last)
        self._last = now


def _failed(error: ChatserverError, *, spent: bool) -> Outcome:
    reason = Reason(error.reason) if isinstance(error, UpstreamError) else Reason.INTERRUPTED
    return Outcome(reason, fault=Fault(error.code, error.detail), spent=spent)


def _backoff(attempt: int, options: GenerationSettings) -> float:
    """Twice as long each time, with jitter, so that what failed together doesn't come back together."""
    longest = min(options.retry_longest_delay_s, options.retry_first_delay_s * 2 ** (attempt - 1))
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing


def _timings(created_at: int, job: Job, now: int, done: Done | None) -> dict[str, Any]:
    ours = {"total_ms": now - created_at, "first_token_ms": job.first_token_ms}
    return {**ours, "model": done.timings if done else None}
