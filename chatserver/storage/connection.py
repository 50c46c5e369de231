"""What queries run on: one transaction of whichever database there is."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import CursorResult, Executable


class Connection(Protocol):
    """What is used of SQLAlchemy's asynchronous connection."""

    async def execute(
        self,
        statement: Executable,
        parameters: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
        /,
    ) -> CursorResult[Any]: ...

    async def scalar(self, statement: Executable, /) -> Any: ...
