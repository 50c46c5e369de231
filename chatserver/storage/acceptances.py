"""What was accepted before under a key, so that a repeat gets it again."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Protocol, Self

from chatserver.errors import KeyReused
from chatserver.storage.command import Transaction
from chatserver.storage.connection import Connection
from chatserver.storage.keys import Keyed, Keys
from chatserver.storage.messages import load_messages
from chatserver.storage.records import Accepted, Message, Stored
from chatserver.storage.rows import generation_of, select_generations, select_messages
from chatserver.storage.tables import generations, messages

_answers = messages.alias("answers")


class Answerable(Keyed, Protocol):
    """A keyed command that says what its answer looks like."""

    @property
    def reply(self) -> Callable[[Accepted], Stored]: ...


class Acceptances:
    """The keys of a batch together with what was accepted under them, in the batch or before it."""

    def __init__(self, keys: Keys, made: dict[str, Accepted]) -> None:
        self._keys = keys
        #: Generation -> what was accepted with it.
        self._made = made

    @classmethod
    async def load(cls, connection: Connection, commands: Iterable[Keyed]) -> Self:
        keys = await Keys.load(connection, commands)
        ids = {known.generation for known in keys.made() if known.generation}
        return cls(keys, await _load_accepted(connection, ids) if ids else {})

    def repeat(self, command: Keyed) -> Accepted | None:
        """What the same command got before; KeyReused where the key stands for something else."""
        known = self._keys.find(command)
        if known is None:
            return None
        if known.generation is None:
            raise KeyReused
        return replace(self._made[known.generation], replayed=known.stored)

    def add(self, command: Answerable, accepted: Accepted) -> None:
        self._made[accepted.generation.id] = accepted
        self._keys.remember(command, partial(command.reply, accepted), generation=accepted.generation.id)

    async def save(self, transaction: Transaction) -> None:
        await self._keys.save(transaction)


async def _load_accepted(connection: Connection, ids: set[str]) -> dict[str, Accepted]:
    query = select_generations().where(generations.c.id.in_(ids))
    found = [generation_of(row) for row in await connection.execute(query)]
    asked = await _load_questions(
        connection, {generation.message for generation in found if generation.message}
    )
    return {generation.id: Accepted(asked.get(generation.message or ""), generation) for generation in found}


async def _load_questions(connection: Connection, answers: set[str]) -> dict[str, Message]:
    """Answer -> what the person wrote."""
    if not answers:
        return {}
    query = (
        select_messages()
        .add_columns(_answers.c.id.label("answer"))
        .join(_answers, _answers.c.parent == messages.c.id)
        .where(_answers.c.id.in_(answers))
    )
    rows = (await connection.execute(query)).all()
    asked = await load_messages(rows, connection)
    return {row.answer: message for row, message in zip(rows, asked, strict=True)}
