"""What can be asked of the writer: small frozen values, each kind with one handler for many at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from chatserver.errors import ChatserverError

R = TypeVar("R")


@dataclass(slots=True)
class Transaction:
    """One group's transaction, and the conversations that change in it."""

    connection: AsyncConnection
    #: Conversation -> the highest change number given to anything in it.
    changes: dict[str, int] = field(default_factory=dict)


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
