"""What queries run on: one transaction of whichever database there is."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlalchemy import CursorResult, Executable, Insert, Update

T = TypeVar("T")

#: What adds rows or changes them. Each parameter of an update says its type, or is compared with a column.
WriteStatement: TypeAlias = Insert | Update
#: A change and the rows it is made for, at least one; all have the same names.
Write: TypeAlias = tuple[WriteStatement, Sequence[Mapping[str, Any]]]


class Connection(Protocol):
    """What is used of SQLAlchemy's asynchronous connection, and a way to write much at once."""

    async def execute(
        self,
        statement: Executable,
        parameters: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
        /,
    ) -> CursorResult[Any]: ...

    async def scalar(self, statement: Executable, /) -> Any: ...

    async def write(self, writes: Sequence[Write], /) -> None:
        """Make changes of different tables, of which none sees the others, and each row once."""


#: What is done in one transaction. It awaits nothing but its connection.
Work: TypeAlias = Callable[[Connection], Coroutine[Any, Any, T]]


class Backend(Protocol):
    """A database of one kind. Whatever its driver raises comes through."""

    #: What it says to a commit comes over a network, and may get lost.
    distant: bool

    async def read(self, work: Work[T]) -> T:
        """Do the work on one consistent view."""

    async def query(self, work: Work[T]) -> T:
        """Do work that is a single read, however long it takes."""

    async def glance(self, work: Work[T]) -> T:
        """Do work that is a single short read."""

    async def write(self, work: Work[T]) -> T:
        """Do the work in one transaction, after all that was written before it."""

    def is_unavailable(self, error: Exception) -> bool:
        """Say whether an error means "not now" rather than "not like this"."""

    def cause(self, error: Exception) -> Exception:
        """Give what may be logged of an error: nothing that people wrote."""
