"""The states of a generation, why it ended, and the moves between states."""

from enum import StrEnum

from chatserver.errors import IllegalMove


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    DEAD = "dead"

    @property
    def ended(self) -> bool:
        return self not in UNFINISHED


class Reason(StrEnum):
    COMPLETED = "completed"
    LENGTH = "length"
    CANCELLED = "cancelled"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    INTERRUPTED = "interrupted"
    EXPIRED = "expired"


class Lane(StrEnum):
    """Somebody is watching (interactive), or it may take its time (background)."""

    INTERACTIVE = "interactive"
    BACKGROUND = "background"


class Purpose(StrEnum):
    """What the server wants a generation for that nobody has asked for."""

    TITLE = "title"
    SUMMARY = "summary"


UNFINISHED = frozenset({Status.QUEUED, Status.RUNNING})

#: Running may follow running: a new owner takes over from a dead one. Ending needs ownership, so
#: even what is cancelled or expires while it waits is claimed before it ends.
MOVES: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING}),
    Status.RUNNING: frozenset(
        {Status.RUNNING, Status.COMPLETED, Status.CANCELLED, Status.FAILED, Status.DEAD}
    ),
    Status.COMPLETED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.FAILED: frozenset(),
    Status.DEAD: frozenset(),
}

_GOOD_ENDS = {
    Reason.COMPLETED: Status.COMPLETED,
    Reason.LENGTH: Status.COMPLETED,
    Reason.CANCELLED: Status.CANCELLED,
}


def check_move(before: Status, after: Status) -> None:
    if after not in MOVES[before]:
        raise IllegalMove(f"A generation can't go from {before} to {after}.")


def final_status(reason: Reason, *, spent: bool) -> Status:
    """Handed-in work whose attempts are spent is dead: it waits for somebody to look at it."""
    return _GOOD_ENDS.get(reason, Status.DEAD if spent else Status.FAILED)
