"""One run: from a claimed generation and a slot to its end on disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from chatserver.engine.attempts import Attempts
from chatserver.engine.endings import Endings, Outcome, failed
from chatserver.engine.job import Job
from chatserver.engine.patience import Patience, PatientWriter
from chatserver.engine.peers import Peers
from chatserver.engine.slots import Hold, Slot
from chatserver.engine.stored import saved_pieces
from chatserver.errors import ContextTooLong, NotFound, StaleEpoch
from chatserver.generation.clock import Clock
from chatserver.generation.pieces import Fault
from chatserver.generation.states import Reason
from chatserver.storage.generations import Generations
from chatserver.storage.lifecycle import Claim

#: Pause before the store is asked again, in seconds; the longest where each try only finds the same error.
_ASK_AGAIN = 0.5
_ASK_RARELY = 30.0

_OUR_FAULT = Fault("internal_error", "The server failed while this answer was being made.")

log = structlog.get_logger()


class _StoppedError(Exception):
    """The run was asked to end."""


@dataclass(frozen=True)
class Runner:
    peers: Peers
    attempts: Attempts
    endings: Endings
    writer: PatientWriter
    generations: Generations
    clock: Clock
    patience: Patience
    #: Who runs: written into every claim.
    owner: str
    #: Gives a slot back and lets the next one have it.
    give_back: Callable[[Slot], None]

    async def run(self, job: Job, slot: Slot) -> None:
        """Bring a job to its end."""
        async with self._ended_anyhow(job):
            with Hold(slot, self.give_back) as hold:
                await self._own(job, attempt=True)
                if job.feed.log.ended:
                    await self.endings.save_shared(job)
                    return
                outcome = await self._outcome(job, hold)
            await self.endings.end(job, outcome)

    async def end_without_running(self, job: Job, outcome: Outcome) -> None:
        """End what has its text already, or never had any."""
        async with self._ended_anyhow(job):
            await self._own(job, attempt=False)
            if job.feed.log.ended:
                await self.endings.save_shared(job)
                return
            await self._restore(job)
            await self.endings.end(job, outcome)

    @asynccontextmanager
    async def _ended_anyhow(self, job: Job) -> AsyncIterator[None]:
        """Whatever of ours fails, a job that is still ours comes to an end: its readers wait for that."""
        try:
            try:
                yield
            except (StaleEpoch, NotFound):
                raise
            except Exception:
                log.exception("run_failed")
                await self._end_after_failure(job)
        except StaleEpoch:
            job.fenced = True
            raise
        except NotFound:
            self.endings.end_deleted(job)

    async def _end_after_failure(self, job: Job) -> None:
        """End it with the text so far; while the store refuses even that, try again, ever more rarely."""
        pause = _ASK_AGAIN
        while not job.feed.log.ended:
            try:
                await self._own(job, attempt=False)
                # What was asked for is no interruption, whatever else went wrong.
                interrupted = Outcome(Reason.INTERRUPTED, fault=_OUR_FAULT)
                await self.endings.end(job, Outcome(job.stopped) if job.stopped else interrupted)
            except (StaleEpoch, NotFound):
                raise
            except Exception:
                log.exception("end_failed")
                await asyncio.sleep(pause)
                pause = min(2 * pause, _ASK_RARELY)

    async def _own(self, job: Job, *, attempt: bool) -> None:
        """Claim the job unless that was done when it was accepted; whatever ends is claimed before."""
        if not job.epoch:
            assert job.record is not None
            claim = Claim(job.generation, self.owner, job.record.epoch, self.clock.wall_ms(), attempt)
            claimed = await self.writer.submit(claim)
            if claimed is None:
                raise StaleEpoch(f"{job.generation} is not there to be claimed.")
            job.epoch, job.attempt = claimed.epoch, claimed.attempts
            if claimed.cancel:
                job.stop(Reason.CANCELLED)
            # What nobody has claimed before has no log, so it runs while none can be read.
            if job.record.epoch:
                await self.patience.ask("shared log", lambda: self.peers.take_up(job))
        if not job.feed.log.ended:
            job.feed.begin(job.epoch, job.feed.log.top)
            self.peers.share(job)

    async def _restore(self, job: Job) -> None:
        """Put back what was saved of the last attempt, where its log is gone."""
        record = job.record
        assert record is not None
        if job.feed.log.top or not record.epoch:
            return
        saved = await self.patience.ask("text so far", lambda: self.generations.text_so_far(record.id))
        if saved is not None:
            job.feed.extend(saved_pieces(record, saved))

    async def _outcome(self, job: Job, hold: Hold) -> Outcome:
        try:
            async with self._stoppable(job):
                return await self.attempts.make(job, hold)
        except _StoppedError:
            assert job.stopped is not None
            if job.fenced:
                raise StaleEpoch(f"{job.generation} has another owner.") from None
            return Outcome(job.stopped)
        except ContextTooLong as error:
            return failed(error, spent=False)
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
