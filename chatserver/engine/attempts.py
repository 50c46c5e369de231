"""From a prompt to an outcome: asks model servers until there is an answer, or no more may be tried."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from chatserver.engine.endings import Outcome, failed
from chatserver.engine.job import Job
from chatserver.engine.meter import Meter, TextFullError
from chatserver.engine.patience import Patience, PatientWriter
from chatserver.engine.prompts import Prompt, Prompts
from chatserver.engine.slots import Hold, Slot, Slots
from chatserver.errors import StaleEpoch, Unreachable, UpstreamError
from chatserver.generation.clock import Clock
from chatserver.generation.pieces import Reset, Started
from chatserver.generation.states import Lane, Reason
from chatserver.settings import GenerationSettings
from chatserver.storage.lifecycle import BeginAttempt
from chatserver.storage.records import Generation
from chatserver.telemetry.metrics import Metrics
from chatserver.upstream.client import OllamaClient
from chatserver.upstream.fleet import Fleet
from chatserver.wire.ollama import Done

log = structlog.get_logger()


@dataclass(frozen=True)
class Attempts:
    prompts: Prompts
    fleet: Fleet
    slots: Slots
    writer: PatientWriter
    clock: Clock
    metrics: Metrics
    patience: Patience
    options: GenerationSettings
    #: Waits in the queue for another slot, after so many seconds.
    slot_for: Callable[[Job, float], Awaitable[Slot]]
    #: Gives a slot back and lets the next one have it.
    give_back: Callable[[Slot], None]

    async def make(self, job: Job, hold: Hold) -> Outcome:
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
                    return failed(error, spent=spent)
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
        meter = Meter(job, self.clock, self.metrics, self.options.max_text_bytes)
        try:
            async with asyncio.timeout(self.options.max_duration_s) as longest:
                done = await client.chat(body, meter.take)
        except TextFullError:
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
        if not await self.writer.submit(BeginAttempt(job.generation, job.epoch, attempt)):
            raise StaleEpoch(f"{job.generation} has another owner.")
        # In one step: a checkpoint must not take the old text for the new attempt's.
        job.attempt = attempt
        job.feed.add(Reset())


def _backoff(attempt: int, options: GenerationSettings) -> float:
    """Twice as long each time, with jitter, so that what failed together doesn't come back together."""
    longest = min(options.retry_longest_delay_s, options.retry_first_delay_s * 2 ** (attempt - 1))
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
