"""The port: logs that instances share, and hints between them, as plain steps."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from chatserver.generation.merge import Hint, History
from chatserver.generation.pieces import Piece
from chatserver.generation.position import Position

#: Called with a hint; with None when some may have been missed, and once when hearing begins.
Heard = Callable[[Hint | None], None]
Told = Callable[[str | None], None]


@dataclass(frozen=True, slots=True)
class Appending:
    """What an owner adds to one log: the pieces from number `first` on."""

    generation: str
    epoch: int
    first: int
    pieces: Sequence[Piece]


class Refused(Enum):
    #: A newer epoch has begun: another owner writes this log.
    FENCED = "fenced"
    #: The log isn't there (any more); its owner has to open it.
    GONE = "gone"


class Backplane(Protocol):
    """Each step raises BackplaneUnavailable while it can't be taken; repeating one does no harm."""

    @property
    def alone(self) -> bool:
        """There is no other instance, and never will be: nothing has to be shared."""

    @property
    def connected(self) -> bool:
        """What is shared reaches the other instances now."""

    async def open(self, generation: str, epochs: Sequence[Position]) -> None:
        """Make room for a log, for the owner under the newest of its epochs; an older one is replaced.

        StaleEpoch where a newer epoch has begun.
        """

    async def append(self, batch: Sequence[Appending]) -> Sequence[int | Refused]:
        """Add to many logs in one step, announcing each; gives the length that each has then.

        What is there already changes nothing, and what would leave a gap isn't taken.
        """

    async def take(self, generation: str, epoch: int) -> History | None:
        """Begin an epoch where a log ends, so that no older owner can add to it any more, and read it all.

        None where there is no log; StaleEpoch where a newer epoch has begun.
        """

    async def history(self, generation: str) -> History | None:
        """Read all of a log; None where there is none."""

    async def tops(self, generations: Sequence[str]) -> Sequence[Position | None]:
        """Say how far logs reach, under which newest epoch."""

    def follow(self, generation: str, heard: Heard) -> AbstractContextManager[None]:
        """Hear what is announced of a log."""

    def publish(self, topic: str, text: str) -> None:
        """Tell all instances, this one too. A hint: it may come late, twice or never."""

    def listen(self, topic: str, told: Told) -> AbstractContextManager[None]:
        """Hear what is published to a topic."""
