"""All generations that this process works on: admits them, gives them slots, stops them, ends them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import structlog

from chatserver.engine.endings import Outcome
from chatserver.engine.job import Job
from chatserver.engine.loans import Loans, SlotNeededError
from chatserver.engine.peers import Peers
from chatserver.engine.queue import Order, Pace, Waiting
from chatserver.engine.runner import Runner
from chatserver.engine.shelf import Shelf
from chatserver.engine.slots import Slot, Slots
from chatserver.errors import ChatserverError, Draining, Full, TooMany
from chatserver.generation.clock import Clock
from chatserver.generation.feed import Feed, Place
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Reason, Status
from chatserver.storage.records import Generation
from chatserver.upstream.fleet import full_name

#: How often those who wait are told where they stand, and old logs are let go, in seconds.
_ROUND = 0.5

#: Seconds after which an answer may have ended, for whoever has too many on their way.
_TRY_AGAIN_S = 2

log = structlog.get_logger()

T = TypeVar("T")


class Admission:
    """A generation on its way in: room is kept for it while it is being stored."""

    def __init__(self, job: Job, slot: Slot | None) -> None:
        self.job = job
        #: Free here and now, so that accepting it claims it as well.
        self.slot = slot
        self.accepted: Generation | None = None

    def accept(self, record: Generation) -> None:
        """Say that it is on disk; it starts when the admission is left."""
        self.accepted = record


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
        self._order = order
        self._slots = slots
        self._shelf = shelf
        self._peers = peers
        self._clock = clock
        self._most_waiting = most_waiting
        self._most_each = most_each
        self._jobs: dict[str, Job] = {}
        #: Those of them that are housekeeping.
        self._chores: set[Job] = set()
        #: How many of them each account has.
        self._unfinished: Counter[str] = Counter()
        #: Before they are admitted: what has to be read for that takes its time under load.
        self._preparing = 0
        #: On their way to the disk, and then into the queue.
        self._arriving = 0
        self._tasks: set[asyncio.Task[None]] = set()
        #: Those of them that wait for another slot.
        self._between: set[asyncio.Task[None]] = set()
        #: Changes of the store that the engine has to follow.
        self._carried: set[asyncio.Task[Any]] = set()
        self._pace = Pace()
        self._loans = Loans()
        self._runner = make_runner(self)
        #: New work is refused; what is here goes on.
        self.draining = False
        #: Called with each job that is over here, however that came.
        self.on_done: Callable[[Job], None] = _ignore

    @property
    def owner(self) -> str:
        return self._runner.owner

    @property
    def running(self) -> int:
        return len(self._tasks)

    @property
    def slots_taken(self) -> int:
        return self._slots.in_flight

    def jobs(self) -> Iterable[Job]:
        return list(self._jobs.values())

    async def carry(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry it through even if whoever asked goes away: what the disk has runs, what it lost doesn't."""
        task = asyncio.create_task(work, name="carry")
        self._carried.add(task)
        task.add_done_callback(self._carried.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_nobody_waits_for)
            raise

    @contextmanager
    def preparing(self, account: str) -> Iterator[None]:
        """Make ready what is to be admitted; refused at once where there wouldn't be room for it."""
        self._check_account(account)
        self._check_room(self._preparing - max(0, self._slots.each - self._slots.in_flight))
        self._preparing += 1
        try:
            yield
        finally:
            self._preparing -= 1

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
        self._check_account(job.account, elsewhere)
        slot = self._slots.take(job.model) if self._nobody_before(lane) else None
        if slot is None:
            self._check_room()
        admission = Admission(job, slot)
        # Known from here on, so that a cancel can't fall between the disk and the queue.
        self._add(job)
        self._arriving += slot is None
        try:
            yield admission
        finally:
            self._arriving -= slot is None
            if admission.accepted is not None:
                self._enter(job, admission.accepted, slot)
            else:
                self._remove(job)
                if slot is not None:
                    self.give_back(slot)

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
        """Wait in the queue once more, after so many seconds, for a run that has begun already."""
        with self._waits_between():
            await asyncio.sleep(pause)
            return await self._another_slot(job)

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

    async def _another_slot(self, job: Job) -> Slot:
        found: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()

        def start(slot: Slot) -> None:
            if found.done():
                self.give_back(slot)
            else:
                found.set_result(slot)

        self._enqueue(job, start)
        try:
            return await found
        except asyncio.CancelledError:
            self._order.remove(job.generation)
            # The slot came at the very moment of being stopped.
            if found.done() and not found.cancelled():
                self.give_back(found.result())
            raise
        finally:
            job.feed.move(None)

    def give_back(self, slot: Slot) -> None:
        self._slots.release(slot)
        self._pump()

    @asynccontextmanager
    async def spare_slot(self, model: str) -> AsyncIterator[Slot]:
        """Lend a slot that nobody needs; SlotNeededError where there is none, or as soon as somebody does."""
        slot = None if self.draining or len(self._order) else self._slots.take(full_name(model))
        if slot is None:
            raise SlotNeededError
        try:
            async with self._loans.lend(slot):
                yield slot
        finally:
            self.give_back(slot)

    async def rounds(self) -> None:
        """Tell those who wait where they stand, and let go of logs that are too old, for ever."""
        while True:
            await asyncio.sleep(_ROUND)
            self._tell_places()
            self._shelf.tidy(self._clock.now())
            self._pump()

    def drain(self) -> None:
        """Take no new work and start nothing more: what waits stays for the next start."""
        self.draining = True
        for chore in list(self._chores):
            chore.stop(Reason.CANCELLED)
        self._loans.call_in_all()
        for waiting in self._order.in_order():
            job = self._jobs.get(waiting.generation)
            if job is not None:
                job.feed.park()

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
        self.draining = True
        await asyncio.gather(*self._carried, return_exceptions=True)
        for job in self._jobs.values():
            if job.expiry is not None:
                job.expiry.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def counts(self) -> dict[str, int]:
        running = sum(1 for job in self._jobs.values() if job.epoch)
        return {Status.QUEUED: len(self._jobs) - running, Status.RUNNING: running}

    def lanes(self) -> dict[str, tuple[int, float]]:
        """Depth and oldest age in seconds, by lane."""
        now = self._clock.now()
        oldest = {lane: self._order.oldest(lane) for lane in Lane}
        return {
            lane: (self._order.waits(lane), now - first.since if first else 0.0)
            for lane, first in oldest.items()
        }

    def _nobody_before(self, lane: Lane) -> bool:
        return len(self._order) == 0 or (lane is Lane.INTERACTIVE and not self._order.waits(Lane.INTERACTIVE))

    def _job_of(self, record: Generation, feed: Feed) -> Job:
        job = Job(record.id, record.principal, full_name(record.model), record.lane, feed)
        self._add(job)
        return job

    def _check_account(self, account: str, elsewhere: int = 0) -> None:
        if self.draining:
            raise Draining
        if self._unfinished[account] + elsewhere >= self._most_each:
            raise TooMany(
                f"At most {self._most_each} answers may be on their way at once; wait for one to end.",
                retry_after=_TRY_AGAIN_S,
                limit=self._most_each,
                setting="outstanding_per_user",
            )

    def _check_room(self, before: int = 0) -> None:
        if len(self._order) + self._arriving + before >= self._most_waiting:
            raise Full(setting="waiting")

    def _add(self, job: Job) -> None:
        self._jobs[job.generation] = job
        if job.chore:
            self._chores.add(job)
        self._unfinished[job.account] += 1

    def _remove(self, job: Job) -> None:
        del self._jobs[job.generation]
        self._chores.discard(job)
        self._unfinished[job.account] -= 1
        if not self._unfinished[job.account]:
            del self._unfinished[job.account]

    def _enter(self, job: Job, record: Generation, slot: Slot | None) -> None:
        job.record = record
        if record.expires_at is not None:
            self._expire_at(job, record.expires_at)
        if slot is not None:
            # Accepting it was claiming it.
            job.epoch, job.attempt = record.epoch, record.attempts
            self._run(job, slot)
            return
        self._enqueue(job, partial(self._run, job))
        job.on_stop(partial(self._leave_queue, job))

    def _enqueue(self, job: Job, start: Callable[[Slot], None]) -> None:
        self._order.add(Waiting(job.generation, job.model, job.lane, self._clock.now(), start))
        # Told before it may start: what runs has no place.
        interactive = job.lane is Lane.INTERACTIVE
        self._tell_place(job, self._order.waits(job.lane) if interactive else len(self._order))
        if self.draining:
            job.feed.park()
        self._pump()
        if job.feed.place is not None and not self._loans.call_in(job.model) and interactive:
            self._make_way(job.model)

    def _make_way(self, model: str) -> None:
        """Have housekeeping give its slot to somebody who waits; it can be done again, and nobody sees it."""
        running = (chore for chore in self._chores if chore.feed.place is None and chore.stopped is None)
        chore = next((chore for chore in running if chore.model == model), None)
        if chore is not None:
            chore.stop(Reason.CANCELLED)

    def _leave_queue(self, job: Job) -> None:
        if self._order.remove(job.generation) is not None:
            assert job.stopped is not None
            self._spawn(job, self._runner.end_without_running(job, Outcome(job.stopped)))

    def _pump(self) -> None:
        """Start whoever is next, as long as there is a slot for somebody."""
        while not self.draining and (waiting := self._order.next(self._slots.free)):
            slot = self._slots.take(waiting.model)
            assert slot is not None
            waiting.start(slot)

    def _run(self, job: Job, slot: Slot) -> None:
        job.feed.move(None)
        job.on_stop(None)
        self._spawn(job, self._timed(job, slot))

    async def _timed(self, job: Job, slot: Slot) -> None:
        begun = self._clock.now()
        await self._runner.run(job, slot)
        self._pace.ran(self._clock.now() - begun)

    def _spawn(self, job: Job, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(_named_in_logs(job, work), name=f"run {job.generation}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, job))

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
        self._remove(job)
        error = None if task.cancelled() else task.exception()
        if job.fenced:
            log.info("fenced", generation=job.generation)
        elif error is not None:
            log.error("run_died", generation=job.generation, exc_info=error)
        self.on_done(job)

    def _expire_at(self, job: Job, wall_ms: int) -> None:
        left = max(0, wall_ms - self._clock.wall_ms()) / 1000
        job.expiry = asyncio.get_running_loop().call_later(left, job.stop, Reason.EXPIRED)

    def _tell_places(self) -> None:
        for position, waiting in enumerate(self._order.in_order(), 1):
            job = self._jobs.get(waiting.generation)
            if job is not None:
                self._tell_place(job, position)

    def _tell_place(self, job: Job, position: int) -> None:
        eta_ms = self._pace.eta_ms(position, self._slots.total(job.model))
        job.feed.move(Place(position, eta_ms))


def _ignore(_job: Job) -> None:
    """Nobody wants to know."""


def _nobody_waits_for(carried: asyncio.Task[Any]) -> None:
    """Look at what became of it: a refusal is nobody's loss, but anything else has to be told."""
    error = None if carried.cancelled() else carried.exception()
    if error is not None and not isinstance(error, ChatserverError):
        log.error("carried_in_vain", exc_info=error)


async def _named_in_logs(job: Job, work: Coroutine[None, None, None]) -> None:
    who = job.principal
    with structlog.contextvars.bound_contextvars(generation=job.generation, tenant=who.tenant, user=who.user):
        await work
