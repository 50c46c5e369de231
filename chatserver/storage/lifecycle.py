"""From accepted to ended: who owns a generation, and what is written only under its epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatserver.errors import ChatserverError
from chatserver.generation.pieces import Fault, Usage
from chatserver.generation.position import Position
from chatserver.generation.principal import Principal
from chatserver.generation.states import Reason, Status
from chatserver.storage.command import Command, Transaction
from chatserver.storage.records import Generation


@dataclass(frozen=True, slots=True)
class Claimed:
    epoch: int
    attempts: int
    #: It was cancelled before: whoever claims it has to end it.
    cancel: bool


@dataclass(frozen=True, slots=True)
class Claim(Command[Claimed | None]):
    """Own a generation from now on; None when somebody else was faster or it has ended."""

    generation_id: str
    owner: str
    epoch_seen: int
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["Claim"]
    ) -> Sequence[Claimed | ChatserverError | None]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class BeginAttempt(Command[bool]):
    """A further attempt under the same epoch; False when somebody else owns it by now."""

    generation_id: str
    epoch: int
    attempt: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["BeginAttempt"]
    ) -> Sequence[bool | ChatserverError]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Finish(Command[bool]):
    """The end; False when somebody else owns it by now, or it has ended before."""

    generation_id: str
    epoch: int
    status: Status
    reason: Reason
    answer: str
    thinking: str | None
    tool_calls: list[dict[str, Any]]
    usage: Usage | None
    timings: dict[str, Any] | None
    sha256: str
    final: Position
    error: Fault | None
    context: dict[str, Any] | None
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["Finish"]
    ) -> Sequence[bool | ChatserverError]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Cancel(Command[Generation]):
    """Ask the owner to end it. Whoever owns it or claims it looks at this."""

    generation_id: str
    principal: Principal
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["Cancel"]
    ) -> Sequence[Generation | ChatserverError]:
        raise NotImplementedError
