"""Now and then what all running answers have grown by is put on disk, in one commit for all of them."""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from chatserver.engine.job import Job
from chatserver.errors import StoreUnavailable
from chatserver.generation.pieces import Delta
from chatserver.storage.checkpoints import Checkpoint, Part
from chatserver.storage.writer import Writer

log = structlog.get_logger()


class Checkpoints:
    def __init__(self, jobs: Callable[[], Iterable[Job]], writer: Writer, every: float) -> None:
        self._jobs = jobs
        self._writer = writer
        self._every = every

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self.save()

    async def save(self) -> None:
        grown = [(job, job.feed.log.top, growth(job)) for job in self._jobs() if job.epoch]
        grown = [(job, top, parts) for job, top, parts in grown if parts]
        if not grown:
            return
        try:
            await self._writer.submit(Checkpoint(tuple(part for _, _, parts in grown for part in parts)))
        except StoreUnavailable:
            # Nothing is noted as saved, so the next round brings it.
            log.warning("checkpoint_missed", generations=len(grown))
            return
        for job, top, parts in grown:
            job.saved = (job.attempt, top, parts[-1].seq + 1)


def growth(job: Job) -> list[Part]:
    """Gather what the text has grown by since the last save, by channel, in order."""
    attempt, n, seq = job.saved
    if attempt != job.attempt:
        n, seq = job.feed.log.begins_at, 0
    deltas = [piece for _, piece in job.feed.log.since(n) if isinstance(piece, Delta)]
    return [
        Part(job.generation, job.epoch, job.attempt, seq + i, delta.channel, delta.text)
        for i, delta in enumerate(deltas)
    ]
