"""How much somebody may do, over all instances; while they can't ask each other, each gives its part."""

from collections.abc import Callable
from dataclasses import dataclass

from chatserver.access.allowance import MINUTE, Allowances, Caller
from chatserver.access.visitors import LOCAL
from chatserver.backplane.redis.windows import SharedWindows
from chatserver.errors import BackplaneUnavailable
from chatserver.storage.generations import Generations


@dataclass(frozen=True)
class Allowing:
    allowances: Allowances
    #: What all instances count together; None for one that is alone.
    shared: SharedWindows | None
    generations: Generations
    owner: str
    #: How many instances there are.
    instances: Callable[[], int]
    most_unfinished: int

    async def take(self, caller: Caller) -> None:
        """Count one message, or refuse it with the time to wait."""
        if self.shared is None:
            self.allowances.take(caller)
            return
        allowances = self.allowances.of(caller)
        try:
            full = await self.shared.count([(each.name, each.most) for each in allowances], MINUTE)
        except BackplaneUnavailable:
            self.allowances.take(caller, self.instances())
            return
        if full is not None:
            place, wait = full
            raise allowances[place].refusal(wait)
        self.allowances.note(caller)

    async def unfinished_elsewhere(self, caller: Caller) -> int:
        """How many answers of a caller the other instances have to make, as far as that matters."""
        # Those who share the local user are told apart by their addresses, which the store doesn't have.
        if self.shared is None or caller.principal == LOCAL:
            return 0
        return await self.generations.unfinished_elsewhere(caller.principal, self.owner, self.most_unfinished)
