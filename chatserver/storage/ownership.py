"""Where the generations of a batch of commands stand, and the numbers of what moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Row, select

from chatserver.errors import NotFound
from chatserver.generation.position import Position
from chatserver.generation.principal import Principal
from chatserver.generation.states import Reason, Status
from chatserver.storage.among import among
from chatserver.storage.command import Transaction
from chatserver.storage.connection import Connection
from chatserver.storage.numbering import Numbering
from chatserver.storage.tables import generations

_COLUMNS = (
    *("id", "tenant", "user", "status", "epoch", "owner", "attempts", "cancel"),
    *("conversation", "message", "purpose", "reason", "sha256", "final_epoch", "final_n", "ended_at"),
)
_STATES = select(*(generations.c[name] for name in _COLUMNS))
# Locked in one order, where a database has row locks.
_LOCKED = _STATES.where(among(generations.c.id, "ids")).order_by(generations.c.id).with_for_update()


@dataclass(frozen=True, slots=True)
class End:
    final: Position
    reason: Reason
    sha256: str
    ended_at: int


@dataclass(slots=True)
class State:
    """A generation as the commands before have left it."""

    id: str
    principal: Principal
    status: Status
    epoch: int
    owner: str | None
    attempts: int
    cancel: bool
    #: Whose watchers are told of what moves.
    conversation: str | None
    message: str | None
    #: What tells its end from any other; None while it hasn't ended.
    end: End | None


class States:
    def __init__(self, states: dict[str, State], numbering: Numbering) -> None:
        self._states = states
        self._numbering = numbering

    @classmethod
    async def load(cls, connection: Connection, ids: Sequence[str]) -> Self:
        states = [
            State(
                id=row.id,
                principal=Principal(row.tenant, row.user),
                status=Status(row.status),
                epoch=row.epoch,
                owner=row.owner,
                attempts=row.attempts,
                cancel=row.cancel,
                # Nobody is told of housekeeping.
                conversation=row.conversation if row.purpose is None else None,
                message=row.message,
                end=_end_of(row),
            )
            for row in await connection.execute(_LOCKED, {"ids": list(set(ids))})
        ]
        held = {state.conversation for state in states if state.conversation is not None}
        return cls({state.id: state for state in states}, await Numbering.load(connection, held))

    def under(self, generation: str, epoch: int) -> State | None:
        """The state of a generation that hasn't ended and whose newest epoch is this one.

        NotFound where it was deleted.
        """
        state = self.find(generation)
        return None if state.status.ended or state.epoch != epoch else state

    def find(self, generation: str) -> State:
        """The state of a generation, whoever owns it; NotFound where it was deleted."""
        state = self._states.get(generation)
        if state is None:
            raise NotFound
        return state

    def conversations(self) -> set[str]:
        return {state.conversation for state in self._states.values() if state.conversation is not None}

    def number(self, state: State) -> int | None:
        """The number of its next change, if it is in a conversation."""
        return None if state.conversation is None else self._numbering.next(state.conversation)

    async def save(self, transaction: Transaction) -> None:
        await self._numbering.save(transaction)


def _end_of(row: Row[Any]) -> End | None:
    if row.ended_at is None:
        return None
    return End(Position(row.final_epoch, row.final_n), Reason(row.reason), row.sha256, row.ended_at)
