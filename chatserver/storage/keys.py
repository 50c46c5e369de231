"""Idempotency keys: the answer given to a request, kept so that a repeat gets the same one."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatserver.errors import ChatserverError
from chatserver.storage.command import Command, Transaction


@dataclass(frozen=True, slots=True)
class ForgetKeys(Command[int]):
    """Remove keys that were used before; the result says how many."""

    before_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["ForgetKeys"]
    ) -> Sequence[int | ChatserverError]:
        raise NotImplementedError
