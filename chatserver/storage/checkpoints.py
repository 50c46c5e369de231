"""Parts of a running text, appended every second or so and never rewritten: what a crash leaves of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatserver.errors import ChatserverError
from chatserver.generation.pieces import Channel
from chatserver.storage.command import Command, Transaction


@dataclass(frozen=True, slots=True)
class Part:
    generation_id: str
    epoch: int
    attempt: int
    #: Orders the parts of an attempt.
    seq: int
    channel: Channel
    text: str


@dataclass(frozen=True, slots=True)
class Checkpoint(Command[None]):
    """Append parts; those of a generation that is no longer owned under their epoch are left out."""

    parts: tuple[Part, ...]

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["Checkpoint"]
    ) -> Sequence[ChatserverError | None]:
        raise NotImplementedError
