"""Who is let in: room is kept for what is being stored, and what there is no room for is refused before."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from chatserver.engine.job import Job
from chatserver.engine.jobs import Jobs
from chatserver.engine.line import Line
from chatserver.engine.slots import Slot
from chatserver.errors import Draining, Full, TooMany
from chatserver.storage.records import Generation

#: Seconds after which an answer may have ended, for whoever has too many on their way.
_TRY_AGAIN_S = 2

#: Seconds that what was accepted may give way to what is being accepted.
_LONGEST_S = 0.1


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


class Admissions:
    def __init__(self, jobs: Jobs, line: Line, *, most_waiting: int, most_each: int) -> None:
        self._jobs = jobs
        self._line = line
        self._most_waiting = most_waiting
        self._most_each = most_each
        #: Before they are admitted: what has to be read for that takes its time under load.
        self._preparing = 0
        #: On their way to the disk, and then into the line.
        self._arriving = 0
        #: Those and these until they are told, whether or not they need a place in the line.
        self._coming = 0
        self._nobody_comes = asyncio.Event()
        self._nobody_comes.set()

    async def lull(self) -> None:
        """Wait until nobody is on the way in, or has been for long enough.

        Turns that come together would all be accepted as late as the last one, if what comes after accepting
        one went before accepting others.
        """
        if self._coming:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_S):
                    await self._nobody_comes.wait()

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Be on the way in: what was accepted before gives way."""
        self._coming += 1
        self._nobody_comes.clear()
        try:
            yield
        finally:
            self._coming -= 1
            if not self._coming:
                self._nobody_comes.set()

    @contextmanager
    def preparing(self, account: str) -> Iterator[None]:
        """Make ready what is to be admitted; refused at once where there wouldn't be room for it."""
        self._check_account(account)
        self._check_room(self._preparing - self._line.unused_slots)
        self._preparing += 1
        try:
            yield
        finally:
            self._preparing -= 1

    @contextmanager
    def admit(self, job: Job, elsewhere: int) -> Iterator[Admission]:
        """Keep room for a job while it is stored; what wasn't accepted leaves nothing.

        Its account has so many `elsewhere`, on other instances.
        """
        self._check_account(job.account, elsewhere)
        slot = self._line.pass_by(job)
        if slot is None:
            self._check_room()
        admission = Admission(job, slot)
        # Known from here on, so that a cancel can't fall between the disk and the line.
        self._jobs.add(job)
        self._arriving += slot is None
        try:
            yield admission
        finally:
            self._arriving -= slot is None
            if admission.accepted is None:
                self._jobs.remove(job)
                if slot is not None:
                    self._line.give_back(slot)

    def _check_account(self, account: str, elsewhere: int = 0) -> None:
        if self._line.closed:
            raise Draining
        if self._jobs.unfinished(account) + elsewhere >= self._most_each:
            raise TooMany(
                f"At most {self._most_each} answers may be on their way at once; wait for one to end.",
                retry_after=_TRY_AGAIN_S,
                limit=self._most_each,
                setting="outstanding_per_user",
            )

    def _check_room(self, before: int = 0) -> None:
        if len(self._line) + self._arriving + before >= self._most_waiting:
            raise Full(setting="waiting")
