"""Tasks that run as long as the server does: each has a name, and none dies unnoticed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Self

import structlog

log = structlog.get_logger()


class Background:
    def __init__(self, on_death: Callable[[], None]) -> None:
        self._on_death = on_death
        self._tasks: set[asyncio.Task[None]] = set()
        #: Some task has died, so the process can't be trusted to go on.
        self.failed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.remove_done_callback(self._done)
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def once(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Start work that has an end; dying of an error is as bad as for the others."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._done(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        log.critical("background_task_died", task=task.get_name(), exc_info=error)
        self.failed = True
        self._on_death()
