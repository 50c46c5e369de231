"""Counts of messages that were counted only after they were written, or anew by another counter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, update

from chatserver.errors import ChatserverError
from chatserver.storage.command import Command, Transaction
from chatserver.storage.tables import messages

_COUNT = (
    update(messages)
    .where(messages.c.id == bindparam("of_message"))
    .values(tokens=bindparam("new_tokens"), counter=bindparam("new_counter"))
)


@dataclass(frozen=True, slots=True)
class KeepCounts(Command[None]):
    """Keep what complete messages count, so that the next prompt needs no counting."""

    counter: str
    #: Message -> tokens.
    tokens: Mapping[str, int]

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["KeepCounts"]
    ) -> Sequence[ChatserverError | None]:
        rows = [
            {"of_message": message, "new_tokens": tokens, "new_counter": command.counter}
            for command in commands
            for message, tokens in command.tokens.items()
        ]
        # In one order, where a database has row locks.
        await transaction.write(_COUNT, sorted(rows, key=lambda row: str(row["of_message"])))
        return [None] * len(commands)
