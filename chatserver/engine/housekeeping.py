"""What follows an answer once everybody has it: one errand after the other in each conversation."""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from functools import partial
from typing import Protocol

import structlog

from chatserver.engine.chores import Answered, Chores
from chatserver.engine.job import Job
from chatserver.errors import ChatserverError
from chatserver.generation.states import Reason

log = structlog.get_logger()


class Errand(Protocol):
    async def run(self, answered: Answered) -> None:
        """Do what an answer gives reason for, if anything."""


class Housekeeping:
    def __init__(self, chores: Chores, errands: Sequence[Errand], most: int) -> None:
        self._chores = chores
        self._errands = errands
        self._most = most
        self._tasks: dict[str, asyncio.Task[None]] = {}
        #: Conversation -> its newest answer, which came during an errand, and what log lines of it name.
        self._next: dict[str, tuple[Answered, Context]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def done(self, job: Job) -> None:
        """Take note that a job is over; what follows from it is done when nobody needs the slot."""
        self._chores.done(job)
        answered = _answered(job)
        if answered is None or self._closed or not self._errands:
            return
        if answered.conversation in self._tasks:
            self._next[answered.conversation] = answered, job.in_logs
        elif len(self._tasks) < self._most:
            self._start(answered, job.in_logs)
        else:
            log.info("housekeeping_left_out", waiting=len(self._tasks))

    async def close(self) -> None:
        """Stop; what isn't done is done after another answer."""
        self._closed = True
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, answered: Answered, in_logs: Context) -> None:
        name = answered.conversation
        task = asyncio.create_task(self._keep(answered), name=f"housekeeping {name}", context=in_logs)
        self._tasks[name] = task
        task.add_done_callback(partial(self._ended, name), context=in_logs)

    def _ended(self, conversation: str, task: asyncio.Task[None]) -> None:
        del self._tasks[conversation]
        following = self._next.pop(conversation, None)
        if not task.cancelled() and (error := task.exception()):
            log.error("housekeeping_died", conversation=conversation, exc_info=error)
        if following is not None and not self._closed:
            self._start(*following)

    async def _keep(self, answered: Answered) -> None:
        for errand in self._errands:
            try:
                await errand.run(answered)
            except ChatserverError as error:
                # Full, draining, no store, or the conversation is gone; another answer gives reason again.
                log.info("housekeeping_put_off", conversation=answered.conversation, code=error.code)


def _answered(job: Job) -> Answered | None:
    """Give what may be followed up: an answer in a conversation that has ended well."""
    record, ending = job.record, job.feed.log.ending
    if job.chore or record is None or record.conversation is None or record.message is None:
        return None
    if ending is None or ending.reason not in (Reason.COMPLETED, Reason.LENGTH):
        return None
    return Answered(record.principal, record.conversation, record.message, record.model, record.context or {})
