"""The jobs of this process: found by generation, counted by account."""

from collections import Counter
from collections.abc import Iterator

from chatserver.engine.job import Job


class Jobs:
    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        #: Those of them that are housekeeping.
        self._chores: set[Job] = set()
        #: How many of them each account has.
        self._unfinished: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """Go through those there are now; they may come and go meanwhile."""
        return iter(list(self._jobs.values()))

    def add(self, job: Job) -> None:
        self._jobs[job.generation] = job
        if job.chore:
            self._chores.add(job)
        self._unfinished[job.account] += 1

    def remove(self, job: Job) -> None:
        del self._jobs[job.generation]
        self._chores.discard(job)
        self._unfinished[job.account] -= 1
        if not self._unfinished[job.account]:
            del self._unfinished[job.account]

    def get(self, generation: str) -> Job | None:
        return self._jobs.get(generation)

    def chores(self) -> list[Job]:
        return list(self._chores)

    def unfinished(self, account: str) -> int:
        return self._unfinished[account]
