"""The line before the models: who waits for a slot, where it stands there, and who is next."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from chatserver.engine.job import Job
from chatserver.engine.jobs import Jobs
from chatserver.engine.loans import Loans, SlotNeededError
from chatserver.engine.queue import Order, Pace, Waiting
from chatserver.engine.slots import Slot, Slots
from chatserver.generation.clock import Clock
from chatserver.generation.feed import Place
from chatserver.generation.states import Lane, Reason


class Line:
    def __init__(self, order: Order, slots: Slots, jobs: Jobs, clock: Clock) -> None:
        self._order = order
        self._slots = slots
        self._jobs = jobs
        self._clock = clock
        self._loans = Loans()
        self.pace = Pace()
        #: Nobody gets a slot from here any more; whoever stands here does so until the next start.
        self.closed = False

    def __len__(self) -> int:
        return len(self._order)

    @property
    def unused_slots(self) -> int:
        """How many at least would find a slot at once, on one server for one model."""
        return max(0, self._slots.each - self._slots.in_flight)

    def pass_by(self, job: Job) -> Slot | None:
        """Take a slot at once, if one is free and nobody stands before the job."""
        before = self._order.waits(job.lane) if job.lane is Lane.INTERACTIVE else len(self._order)
        return None if before else self._slots.take(job.model)

    def join(self, job: Job, start: Callable[[Slot], None]) -> None:
        """Stand in the line, to be started as soon as a slot comes, which may be now."""
        self._order.add(Waiting(job.generation, job.model, job.lane, self._clock.now(), start))
        # Told before it may start: what runs has no place.
        interactive = job.lane is Lane.INTERACTIVE
        self._tell_place(job, self._order.waits(job.lane) if interactive else len(self._order))
        if self.closed:
            job.feed.park()
        self.move_up()
        if job.feed.place is not None and not self._loans.call_in(job.model) and interactive:
            self._make_way(job.model)

    def leave(self, job: Job) -> bool:
        """Stand there no longer; False for one that doesn't."""
        return self._order.remove(job.generation) is not None

    async def slot_for(self, job: Job) -> Slot:
        """Stand in the line until there is a slot."""
        found: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()

        def start(slot: Slot) -> None:
            if found.done():
                self.give_back(slot)
            else:
                found.set_result(slot)

        self.join(job, start)
        try:
            return await found
        except asyncio.CancelledError:
            self.leave(job)
            # The slot came at the very moment of being stopped.
            if found.done() and not found.cancelled():
                self.give_back(found.result())
            raise
        finally:
            job.feed.move(None)

    def give_back(self, slot: Slot) -> None:
        self._slots.release(slot)
        self.move_up()

    @asynccontextmanager
    async def spare_slot(self, model: str) -> AsyncIterator[Slot]:
        """Lend a slot that nobody needs; SlotNeededError where there is none, or as soon as somebody does."""
        slot = None if self.closed or len(self._order) else self._slots.take(model)
        if slot is None:
            raise SlotNeededError
        try:
            async with self._loans.lend(slot):
                yield slot
        finally:
            self.give_back(slot)

    def move_up(self) -> None:
        """Start whoever is next, as long as there is a slot for somebody."""
        while not self.closed and (waiting := self._order.next(self._slots.free)):
            slot = self._slots.take(waiting.model)
            assert slot is not None
            waiting.start(slot)

    def tell_places(self) -> None:
        for position, waiting in enumerate(self._order.in_order(), 1):
            job = self._jobs.get(waiting.generation)
            if job is not None:
                self._tell_place(job, position)

    def close(self) -> None:
        """Start nothing more, and tell the readers of those who stand here that it goes on later."""
        self.closed = True
        self._loans.call_in_all()
        for waiting in self._order.in_order():
            job = self._jobs.get(waiting.generation)
            if job is not None:
                job.feed.park()

    def lanes(self) -> dict[str, tuple[int, float]]:
        """Depth and oldest age in seconds, by lane."""
        now = self._clock.now()
        oldest = {lane: self._order.oldest(lane) for lane in Lane}
        return {
            lane: (self._order.waits(lane), now - first.since if first else 0.0)
            for lane, first in oldest.items()
        }

    def _make_way(self, model: str) -> None:
        """Have housekeeping give its slot to somebody who waits; it can be done again, and nobody sees it."""
        running = (
            chore for chore in self._jobs.chores() if chore.feed.place is None and chore.stopped is None
        )
        chore = next((chore for chore in running if chore.model == model), None)
        if chore is not None:
            chore.stop(Reason.CANCELLED)

    def _tell_place(self, job: Job, position: int) -> None:
        eta_ms = self.pace.eta_ms(position, self._slots.total(job.model))
        job.feed.move(Place(position, eta_ms))
