"""One generation while this process works on it."""

from asyncio import TimerHandle
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field

from structlog.contextvars import bind_contextvars

from chatserver.engine.prompts import Prompt
from chatserver.generation.feed import Feed
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Reason
from chatserver.storage.records import Generation


@dataclass(eq=False)
class Job:
    generation: str
    principal: Principal
    model: str
    lane: Lane
    feed: Feed
    #: Whom the limit on unfinished generations counts.
    account: str = ""
    #: The server's own housekeeping, which gives way to whoever waits for an answer.
    chore: bool = False
    #: As it was when it was accepted or picked up; None until that is on disk.
    record: Generation | None = None
    #: The epoch under which this process owns it; 0 until it is claimed.
    epoch: int = 0
    attempt: int = 0
    #: Why it has to end now, whatever the model does.
    stopped: Reason | None = None
    #: It isn't in the store any more, so nobody finds its log afterwards.
    deleted: bool = False
    #: What the newest attempt asked.
    prompt: Prompt | None = None
    #: From asking the model to its first token, of the newest attempt.
    first_token_ms: int | None = None
    #: How far the text is checkpointed: the attempt, the number of the last piece saved, parts so far.
    saved: tuple[int, int, int] = (0, 0, 0)
    #: Pieces of the log that were shared before this process owned it.
    known: int = 0
    #: Another instance owns it by now.
    fenced: bool = False
    expiry: TimerHandle | None = None
    #: What its log lines name: itself, and the request it came by. It may be another's run that starts it.
    in_logs: Context = field(default_factory=copy_context, repr=False)
    _interrupt: Callable[[], None] | None = field(default=None, repr=False)

    @property
    def taken_over(self) -> bool:
        """Whether somebody else ran it before."""
        return self.record is not None and 0 < self.record.epoch < self.epoch

    def __post_init__(self) -> None:
        who = self.principal
        self.account = self.account or f"user {who.user}"
        self.in_logs.run(bind_contextvars, generation=self.generation, tenant=who.tenant, user=who.user)

    def stop(self, reason: Reason) -> None:
        """Ask for the end; the first reason counts."""
        if self.stopped is not None:
            return
        self.stopped = reason
        if self._interrupt is not None:
            self._interrupt()

    def fence(self) -> None:
        """Let go of it: another instance has claimed it."""
        self.fenced = True
        self.stop(Reason.INTERRUPTED)

    def on_stop(self, interrupt: Callable[[], None] | None) -> None:
        """Say how a stop reaches whoever works on it now; at once, if it was asked for before."""
        self._interrupt = interrupt
        if interrupt is not None and self.stopped is not None:
            interrupt()
