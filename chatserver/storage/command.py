"""What can be asked of the writer: small frozen values, each kind with one handler for many at once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import UpdateBase

from chatserver.errors import ChatserverError
from chatserver.storage.connection import Connection, Write

C = TypeVar("C")
R = TypeVar("R")


@dataclass(slots=True)
class Transaction:
    """One group's transaction, and the conversations that change in it."""

    connection: Connection
    #: Conversation -> the highest change number given to anything in it.
    changes: dict[str, int]

    async def write(self, statement: UpdateBase, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute it once for each row, in one call."""
        if rows:
            await self.connection.execute(statement, rows)

    async def write_together(self, writes: Sequence[Write]) -> None:
        """Make changes of different tables, of which none sees the others, and each row once."""
        await self.connection.write([(statement, rows) for statement, rows in writes if rows])


class Command(ABC, Generic[R]):
    """A change of the store, with the time it is asked for. Carried out whole or not at all."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence[Self]
    ) -> Sequence[R | ChatserverError]:
        """Carry out all of them in a few statements; the results in the same order.

        A command that can't be carried out gets its error in place of a result and changes nothing.
        """


def plan_each(plan: Callable[[C], R], commands: Sequence[C]) -> list[R | ChatserverError]:
    """Plan each by itself: one that is refused gets its error and doesn't disturb the others."""
    return [_planned(plan, command) for command in commands]


def _planned(plan: Callable[[C], R], command: C) -> R | ChatserverError:
    try:
        return plan(command)
    except ChatserverError as refusal:
        return refusal
