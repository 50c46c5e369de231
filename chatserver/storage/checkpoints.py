"""Parts of a running text, appended every second or so and never rewritten: what a crash leaves of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, exists, insert, select

from chatserver.errors import ChatserverError
from chatserver.generation.pieces import Channel
from chatserver.generation.states import Status
from chatserver.storage.command import Command, Transaction
from chatserver.storage.tables import checkpoints, generations

#: Attempts under one epoch that are told apart; settings allow fewer.
_ATTEMPTS = 1_000

_attempt = bindparam("of_attempt", type_=checkpoints.c.attempt.type)
_seq = bindparam("at_seq", type_=checkpoints.c.seq.type)
_channel = bindparam("of_channel", type_=checkpoints.c.channel.type)
# A part that is there already was saved by a write whose answer got lost.
_known = exists().where(
    checkpoints.c.generation == generations.c.id,
    checkpoints.c.attempt == _attempt,
    checkpoints.c.seq == _seq,
    checkpoints.c.channel == _channel,
)
_APPEND = insert(checkpoints).from_select(
    ["generation", "attempt", "seq", "channel", "text"],
    select(
        generations.c.id, _attempt, _seq, _channel, bindparam("appended", type_=checkpoints.c.text.type)
    ).where(
        generations.c.id == bindparam("of_generation"),
        generations.c.epoch == bindparam("under_epoch"),
        generations.c.status == Status.RUNNING.value,
        ~_known,
    ),
)


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
        await transaction.write(_APPEND, [_row(part) for command in commands for part in command.parts])
        return [None] * len(commands)


def attempt_of(number: int) -> int:
    return number % _ATTEMPTS


def _number(epoch: int, attempt: int) -> int:
    """Number attempts in the order of their text: after a hand-over another owner makes the same one anew."""
    return epoch * _ATTEMPTS + attempt


def _row(part: Part) -> dict[str, Any]:
    return {
        "of_generation": part.generation_id,
        "under_epoch": part.epoch,
        "of_attempt": _number(part.epoch, part.attempt),
        "at_seq": part.seq,
        "of_channel": part.channel.value,
        "appended": part.text,
    }
