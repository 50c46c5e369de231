"""Where a reader stands in a log: (epoch, n), opaque to the reader."""

import re
from typing import NamedTuple, Self

from chatserver.errors import MalformedPosition

# Bounded, so that a position always fits a 64-bit column.
_TEXT = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,11})", re.ASCII)


class Position(NamedTuple):
    """The piece last read: the n-th of the log, as it was written under that epoch.

    A number alone would lie: when the owner of a log dies before its last pieces were shared, the
    next owner writes other pieces under the same numbers. The epoch tells the two apart.
    """

    epoch: int
    n: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.n}"

    @classmethod
    def parse(cls, text: str) -> Self:
        found = _TEXT.fullmatch(text)
        if found is None:
            raise MalformedPosition(field="after")
        return cls(int(found[1]), int(found[2]))


START = Position(0, 0)
