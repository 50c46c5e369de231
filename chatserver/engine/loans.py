"""Slots that nobody needs, lent until somebody does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatserver.engine.slots import Slot


class SlotNeededError(Exception):
    """There is no slot to spare, or no longer."""


class Loans:
    def __init__(self) -> None:
        self._scopes: dict[Slot, asyncio.Timeout] = {}

    @asynccontextmanager
    async def lend(self, slot: Slot) -> AsyncIterator[Slot]:
        """Whoever has it is stopped when it is called in; giving it back is the lender's business."""
        try:
            async with asyncio.timeout(None) as scope:
                self._scopes[slot] = scope
                yield slot
        except TimeoutError:
            if not scope.expired():
                raise
            raise SlotNeededError from None
        finally:
            self._scopes.pop(slot, None)

    def call_in(self, model: str) -> bool:
        """Have a slot at a model given back; False where none is lent."""
        slot = next((slot for slot in self._scopes if slot.model == model), None)
        if slot is not None:
            self._scopes.pop(slot).reschedule(asyncio.get_running_loop().time())
        return slot is not None

    def call_in_all(self) -> None:
        for slot in list(self._scopes):
            self.call_in(slot.model)
