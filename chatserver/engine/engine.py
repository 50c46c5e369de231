"""All generations that this process works on: admits them, has them run, stops them, ends them."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import partial
from typing import Any, TypeVar

import structlog

from chatserver.engine.admission import Admission, Admissions
from chatserver.engine.carrying import Carried
from chatserver.engine.endings import Outcome
from chatserver.engine.job import Job
from chatserver.engine.jobs import Jobs
from chatserver.engine.line import Line
from chatserver.engine.peers import Peers
from chatserver.engine.queue import Order
from chatserver.engine.runner import Runner
from chatserver.engine.shelf import Shelf
from chatserver.engine.slots import Slot, Slots
from chatserver.generation.clock import Clock
from chatserver.generation.feed import Feed
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Reason, Status
from chatserver.storage.records import Generation
from chatserver.upstream.fleet import full_name

#: How often those who wait are told where they stand, and old logs are let go, in seconds.
_ROUND = 0.5

log = structlog.get_logger()

T = TypeVar("T")


class Engine:
    def __init__(
        self,
        *,
        order: Order,
        slots: Slots,
        shelf: Shelf,
        peers: Peers,
        clock: Clock,
        most_waiting: int,
        most_each: int,
        make_runner: Callable[["Engine"], Runner],
    ) -> None:
        self._slots = slots
        self._shelf = shelf
        self._peers = peers
        self._clock = clock
        self._jobs = Jobs()
        self._line = Line(order, slots, self._jobs, clock)
        self._admissions = Admissions(self._jobs, self._line, most_waiting=most_waiting, most_each=most_each)
        self._tasks: set[asyncio.Task[None]] = set()
        #: Those of them that wait for another slot.
        self._between: set[asyncio.Task[None]] = set()
        #: Changes of the store that the engine has to follow.
        self._carried = Carried()
        self._runner = make_runner(self)
        #: Called with each job that is over here, however that came.
        self.on_done: Callable[[Job], None] = _ignore

    @property
    def owner(self) -> str:
        return self._runner.owner

    @property
    def draining(self) -> bool:
        """Whether new work is refused; what is here goes on."""
        return self._line.closed

    @property
    def running(self) -> int:
        return len(self._tasks)

    @property
    def slots_taken(self) -> int:
        return self._slots.in_flight

    def jobs(self) -> Iterable[Job]:
        return self._jobs

    async def carry(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry it through even if whoever asked goes away: what the disk has runs, what it lost doesn't."""
        return await self._carried.carry(work)

    def coming(self) -> AbstractContextManager[None]:
        """Have those who were accepted before give way until this is left."""
        return self._admissions.coming()

    def preparing(self, account: str) -> AbstractContextManager[None]:
        """Make ready what is to be admitted; refused at once where there wouldn't be room for it."""
        return self._admissions.preparing(account)

    @contextmanager
    def admit(
        self,
        generation: str,
        principal: Principal,
        model: str,
        lane: Lane,
        *,
        account: str = "",
        elsewhere: int = 0,
        chore: bool = False,
    ) -> Iterator[Admission]:
        """Keep room for a generation while it is stored; it starts or waits once it was accepted.

        `account` is whom the limit on unfinished generations counts; by default the principal. It has so many
        `elsewhere`, on other instances.
        """
        job = Job(generation, principal, full_name(model), lane, Feed(generation), account, chore)
        with self._admissions.admit(job, elsewhere) as admission:
            try:
                yield admission
            finally:
                if admission.accepted is not None:
                    self._enter(job, admission.accepted, admission.slot)

    def pick_up(self, record: Generation) -> None:
        """Go on with what an earlier process accepted and didn't end."""
        self._enter(self._job_of(record, self._peers.feed(record)), record, None)

    def end(self, record: Generation, outcome: Outcome) -> None:
        """End what must not run again, with the text that there was."""
        job = self._job_of(record, self._peers.feed(record))
        job.record = record
        self._spawn(job, self._runner.end_without_running(job, outcome))

    def cancel(self, generation: str) -> None:
        """Let a generation end as cancelled, if it is here and hasn't ended yet."""
        job = self._jobs.get(generation)
        if job is not None:
            job.stop(Reason.CANCELLED)

    def forget(self, generations: Iterable[str]) -> None:
        """Stop what was deleted, and let go of its logs; whoever reads one of them gets its end."""
        for generation in generations:
            self._shelf.forget(generation)
            job = self._jobs.get(generation)
            if job is not None:
                job.deleted = True
                job.stop(Reason.CANCELLED)

    def feed(self, generation: str) -> tuple[Feed, Principal] | None:
        """Find a log that is in memory: of a generation at work, or one finished lately."""
        job = self._jobs.get(generation)
        if job is not None:
            return job.feed, job.principal
        kept = self._shelf.get(generation)
        return (kept.feed, kept.principal) if kept else None

    async def slot_for(self, job: Job, pause: float) -> Slot:
        """Wait in the line once more, after so many seconds, for a run that has begun already."""
        with self._waits_between():
            await asyncio.sleep(pause)
            return await self._line.slot_for(job)

    def give_back(self, slot: Slot) -> None:
        self._line.give_back(slot)

    def spare_slot(self, model: str) -> AbstractAsyncContextManager[Slot]:
        """Lend a slot that nobody needs; SlotNeededError where there is none, or as soon as somebody does."""
        return self._line.spare_slot(full_name(model))

    async def rounds(self) -> None:
        """Tell those who wait where they stand, and let go of logs that are too old, for ever."""
        while True:
            await asyncio.sleep(_ROUND)
            self._line.tell_places()
            self._shelf.tidy(self._clock.now())
            self._line.move_up()

    def drain(self) -> None:
        """Take no new work and start nothing more: what waits stays for the next start."""
        for chore in self._jobs.chores():
            chore.stop(Reason.CANCELLED)
        self._line.close()

    async def finish(self) -> None:
        """Wait for the end of what runs. While draining nothing gets a slot: what waits for one is stopped.

        It stays on disk for the next start, as does what hasn't begun.
        """
        if self.draining:
            for task in self._between:
                task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stop working. What hasn't ended stays on disk for the next start."""
        self._line.closed = True
        await self._carried.settle()
        for job in self._jobs:
            if job.expiry is not None:
                job.expiry.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def counts(self) -> dict[str, int]:
        running = sum(1 for job in self._jobs if job.epoch)
        return {Status.QUEUED: len(self._jobs) - running, Status.RUNNING: running}

    def lanes(self) -> dict[str, tuple[int, float]]:
        """Depth and oldest age in seconds, by lane."""
        return self._line.lanes()

    @contextmanager
    def _waits_between(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._between.add(task)
        if self.draining:
            task.cancel()
        try:
            yield
        finally:
            self._between.discard(task)

    def _job_of(self, record: Generation, feed: Feed) -> Job:
        job = Job(record.id, record.principal, full_name(record.model), record.lane, feed)
        self._jobs.add(job)
        return job

    def _enter(self, job: Job, record: Generation, slot: Slot | None) -> None:
        job.record = record
        if record.expires_at is not None:
            self._expire_at(job, record.expires_at)
        if slot is not None:
            # Accepting it was claiming it.
            job.epoch, job.attempt = record.epoch, record.attempts
            self._run(job, slot)
            return
        self._line.join(job, partial(self._run, job))
        job.on_stop(partial(self._leave_line, job))

    def _leave_line(self, job: Job) -> None:
        if self._line.leave(job):
            assert job.stopped is not None
            self._spawn(job, self._runner.end_without_running(job, Outcome(job.stopped)))

    def _run(self, job: Job, slot: Slot) -> None:
        job.feed.move(None)
        job.on_stop(None)
        self._spawn(job, self._timed(job, slot))

    async def _timed(self, job: Job, slot: Slot) -> None:
        await self._admissions.lull()
        begun = self._clock.now()
        await self._runner.run(job, slot)
        self._line.pace.ran(self._clock.now() - begun)

    def _spawn(self, job: Job, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"run {job.generation}", context=job.in_logs)
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, job), context=job.in_logs)

    def _done(self, job: Job, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if job.expiry is not None:
            job.expiry.cancel()
        if job.fenced and not self._peers.alone:
            self._peers.lose(job)
        elif job.feed.log.ended and not job.deleted and not job.chore:
            self._shelf.put(job.feed, job.principal, self._clock.now())
        else:
            job.feed.park()
        self._jobs.remove(job)
        error = None if task.cancelled() else task.exception()
        if job.fenced:
            log.info("fenced", generation=job.generation)
        elif error is not None:
            log.error("run_died", generation=job.generation, exc_info=error)
        self.on_done(job)

    def _expire_at(self, job: Job, wall_ms: int) -> None:
        left = max(0, wall_ms - self._clock.wall_ms()) / 1000
        job.expiry = asyncio.get_running_loop().call_later(left, job.stop, Reason.EXPIRED)


def _ignore(_job: Job) -> None:
    """Nobody wants to know."""
