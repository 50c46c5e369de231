"""The one writer of the process: everything that waits is committed in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

from chatserver.storage.command import Command
from chatserver.storage.database import Database

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class WriterOptions:
    #: Commands that share one transaction at most.
    max_group: int = 256
    #: Commands that wait at most; more are refused at once.
    max_waiting: int = 10_000


class Writer:
    """`async with Writer(...) as writer`; leaving carries out what was submitted before."""

    def __init__(
        self,
        database: Database,
        options: WriterOptions,
        *,
        on_commit: Callable[[list[tuple[str, int]]], None],
        observe: Callable[[int, float], None],
    ) -> None:
        """`on_commit` gets each changed conversation with its newest change number; `observe` size and seconds."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *_: object) -> None:
        raise NotImplementedError

    async def submit(self, command: Command[R]) -> R:
        """Carry it out; once this waits, it is carried out even if the caller goes away."""
        raise NotImplementedError
