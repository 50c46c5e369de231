"""From a prompt to an outcome: asks model servers until there is an answer, or no more may be tried."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from chatserver.engine.continuing import beginning_of
from chatserver.engine.endings import Outcome, failed
from chatserver.engine.job import Job
from chatserver.engine.meter import Meter, TextFullError
from chatserver.engine.patience import Patience, PatientWriter
from chatserver.engine.prompts import Prompt, Prompts
from chatserver.engine.slots import Hold, Slot, Slots
from chatserver.engine.templates import Templates
from chatserver.errors import BadUpstreamRequest, StaleEpoch, Unreachable, UpstreamError
from chatserver.generation.clock import Clock
from chatserver.generation.pieces import Reset, Started
from chatserver.generation.states import Lane, Reason
from chatserver.settings import GenerationSettings
from chatserver.storage.lifecycle import BeginAttempt
from chatserver.telemetry.metrics import Metrics
from chatserver.upstream.client import OllamaClient
from chatserver.upstream.fleet import Fleet

log = structlog.get_logger()


@dataclass(frozen=True)
class Attempts:
    prompts: Prompts
    templates: Templates
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
        rest = await self._rest(job)
        while True:
            try:
                if rest is not None:
                    return await self._go_on(job, hold, rest)
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
            rest = None

    async def _rest(self, job: Job) -> Prompt | None:
        """Find out how to go on with what an earlier owner has shown; where that isn't safe, it is void."""
        assert job.record is not None
        beginning = beginning_of(job.feed.log, job.record.request)
        if beginning is not None and await self._goes_on(job.model):
            prompt = await self._prompt(job)
            rest = await self.prompts.going_on(prompt, beginning)
            if rest is not None:
                # Readers were told what the model was shown in the beginning.
                job.prompt, job.record = rest, replace(job.record, context=beginning.context)
                return rest
        self._make_anew(job)
        return None

    async def _goes_on(self, model: str) -> bool | None:
        # Readers would lose what they have seen, only because many ask the store at once.
        return await self.patience.ask("template", lambda: self.templates.go_on(model))

    def _make_anew(self, job: Job) -> None:
        if job.feed.log.top > job.feed.log.begins_at:
            job.feed.add(Reset())
        if job.taken_over:
            self.metrics.taken_over("afresh")

    async def _go_on(self, job: Job, hold: Hold, rest: Prompt) -> Outcome:
        """Let readers see nothing but more text."""
        if rest.body["options"].get("num_predict") == 0:
            # All that was asked for is there; only its end was lost.
            return Outcome(Reason.LENGTH)
        try:
            outcome = await self._from_any(job, hold, rest)
        except BadUpstreamRequest:
            # This server's template refuses it, whatever another one's did.
            log.info("beginning_refused")
            self._make_anew(job)
            return await self._attempt(job, hold)
        self.metrics.taken_over("continued")
        return outcome

    async def _attempt(self, job: Job, hold: Hold) -> Outcome:
        prompt = await self._prompt(job)
        job.feed.add(Started(prompt.body["model"], job.attempt, context=prompt.report))
        return await self._from_any(job, hold, prompt)

    async def _from_any(self, job: Job, hold: Hold, prompt: Prompt) -> Outcome:
        """Ask one server after the other, as long as nothing has come from any of them."""
        before = job.feed.log.top
        tried: set[OllamaClient] = set()
        while True:
            try:
                return await self._ask(job, hold.client, prompt)
            except UpstreamError as error:
                tried.add(hold.client)
                if job.feed.log.top > before or not error.elsewhere:
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

    async def _prompt(self, job: Job) -> Prompt:
        record = job.record
        assert record is not None
        prompt = await self.patience.ask("prompt", lambda: self.prompts.build(record))
        job.prompt, job.record = prompt, replace(record, context=prompt.report)
        return prompt

    async def _ask(self, job: Job, client: OllamaClient, prompt: Prompt) -> Outcome:
        self.templates.note(job.model)
        begun = prompt.begun
        meter = Meter(
            job, self.clock, self.metrics, self.options.max_text_bytes, begun.beginning if begun else None
        )
        try:
            async with asyncio.timeout(self.options.max_duration_s) as longest:
                done = await client.chat(prompt.body, meter.take)
        except TextFullError:
            return Outcome(Reason.LENGTH)
        except TimeoutError:
            if longest.expired():
                return Outcome(Reason.LENGTH)
            raise
        self.metrics.upstream_request("ok")
        if begun is not None:
            done = replace(done, usage=begun.whole(done.usage))
        elif done.usage.prompt_tokens:
            # Hold the model's count of the prompt against ours; some reports don't have one.
            self._learn(job.model, prompt, done.usage.prompt_tokens)
        return Outcome(Reason.LENGTH if done.reason == "length" else Reason.COMPLETED, done)

    def _learn(self, model: str, prompt: Prompt, prompt_tokens: int) -> None:
        self.metrics.prompt_counted(self.prompts.measures.learn(model, prompt.sent, prompt_tokens))

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
