"""How many answers each model server makes of each model at once: never more than its slots."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self

from chatserver.upstream.client import OllamaClient


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    client: OllamaClient
    model: str


class Slots:
    def __init__(self, each: int, hosts: Callable[[str], Sequence[OllamaClient]]) -> None:
        #: Of each server and model.
        self.each = each
        self._hosts = hosts
        self._taken: Counter[tuple[OllamaClient, str]] = Counter()

    @property
    def in_flight(self) -> int:
        return self._taken.total()

    def total(self, model: str) -> int:
        return self.each * len(self._hosts(model))

    def free(self, model: str) -> bool:
        return any(self._taken[client, model] < self.each for client in self._hosts(model))

    def take(self, model: str, avoid: Collection[OllamaClient] = ()) -> Slot | None:
        """Take a slot at the least busy server that has the model, or None when all are full."""
        candidates = [client for client in self._hosts(model) if client not in avoid]
        if not candidates:
            return None
        client = min(candidates, key=lambda one: self._taken[one, model])
        if self._taken[client, model] >= self.each:
            return None
        self._taken[client, model] += 1
        return Slot(client, model)

    def release(self, slot: Slot) -> None:
        key = (slot.client, slot.model)
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]


class Hold:
    """The slot that a run has at the moment, if any; given back once, however the run ends."""

    def __init__(self, slot: Slot, give_back: Callable[[Slot], None]) -> None:
        self._slot: Slot | None = slot
        self._give_back = give_back

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def client(self) -> OllamaClient:
        assert self._slot is not None
        return self._slot.client

    def take(self, slot: Slot) -> None:
        self.release()
        self._slot = slot

    def release(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            self._give_back(slot)
