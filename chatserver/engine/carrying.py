"""Changes of the store that are carried through even if whoever asked for them goes away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from chatserver.errors import ChatserverError

log = structlog.get_logger()

T = TypeVar("T")


class Carried:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def carry(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it; it goes on where nobody waits any more."""
        task = asyncio.create_task(work, name="carry")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_nobody_waits_for)
            raise

    async def settle(self) -> None:
        """Wait for the end of all that is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _nobody_waits_for(carried: asyncio.Task[Any]) -> None:
    """Look at what became of it: a refusal is nobody's loss, but anything else has to be told."""
    error = None if carried.cancelled() else carried.exception()
    if error is not None and not isinstance(error, ChatserverError):
        log.error("carried_in_vain", exc_info=error)
