"""Where the generations of a batch of commands stand, and the numbers of what moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import select

from chatserver.errors import NotFound
from chatserver.generation.states import Status
from chatserver.storage.command import Transaction
from chatserver.storage.connection import Connection
from chatserver.storage.numbering import Numbering
from chatserver.storage.tables import generations

_STATES = select(
    *(
        generations.c[name]
        for name in ("id", "status", "epoch", "attempts", "cancel", "conversation", "message")
    )
).order_by(generations.c.id)


@dataclass(slots=True)
class State:
    """A generation as the commands before have left it."""

    id: str
    status: Status
    epoch: int
    attempts: int
    cancel: bool
    conversation: str | None
    message: str | None


class States:
    def __init__(self, states: dict[str, State], numbering: Numbering) -> None:
        self._states = states
        self._numbering = numbering

    @classmethod
    async def load(cls, connection: Connection, ids: Sequence[str]) -> Self:
        # Locked in one order, where a database has row locks.
        query = _STATES.where(generations.c.id.in_(set(ids))).with_for_update()
        states = [
            State(
                row.id, Status(row.status), row.epoch, row.attempts, row.cancel, row.conversation, row.message
            )
            for row in await connection.execute(query)
        ]
        held = {state.conversation for state in states if state.conversation is not None}
        return cls({state.id: state for state in states}, await Numbering.load(connection, held))

    def under(self, generation: str, epoch: int) -> State | None:
        """The state of a generation that hasn't ended and whose newest epoch is this one.

        NotFound where it was deleted.
        """
        state = self._states.get(generation)
        if state is None:
            raise NotFound
        return None if state.status.ended or state.epoch != epoch else state

    def number(self, state: State) -> int | None:
        """The number of its next change, if it is in a conversation."""
        return None if state.conversation is None else self._numbering.next(state.conversation)

    async def save(self, transaction: Transaction) -> None:
        await self._numbering.save(transaction)
