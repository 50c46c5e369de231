"""From accepted to ended: who owns a generation, and what is written only under its epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, delete, func, update

from chatserver.errors import ChatserverError, IllegalMove, NotFound
from chatserver.generation.pieces import Fault, Usage
from chatserver.generation.position import Position
from chatserver.generation.principal import Principal
from chatserver.generation.states import Reason, Status, check_move
from chatserver.storage.command import Command, Transaction, plan_each
from chatserver.storage.entries import Entries
from chatserver.storage.ownership import End, State, States
from chatserver.storage.records import Counted, Generation
from chatserver.storage.rows import columns_of_count, generation_of, select_generations
from chatserver.storage.tables import checkpoints, generations, messages, unfinished

_running_under = (
    (generations.c.id == bindparam("of_generation"))
    & (generations.c.epoch == bindparam("under_epoch"))
    & (generations.c.status == Status.RUNNING.value)
)
_CLAIM = (
    update(generations)
    .where(
        generations.c.id == bindparam("of_generation"),
        generations.c.epoch == bindparam("epoch_seen"),
        unfinished,
    )
    .values(
        status=Status.RUNNING.value,
        epoch=bindparam("new_epoch"),
        owner=bindparam("new_owner"),
        attempts=bindparam("new_attempts"),
        started_at=func.coalesce(generations.c.started_at, bindparam("now")),
        change=bindparam("number"),
    )
)
_BEGIN_ATTEMPT = update(generations).where(_running_under).values(attempts=bindparam("attempt"))
_END = (
    update(generations)
    .where(_running_under)
    .values(
        status=bindparam("new_status"),
        reason=bindparam("new_reason"),
        result=bindparam("new_result"),
        thinking=bindparam("new_thinking"),
        tool_calls=bindparam("new_tool_calls"),
        sha256=bindparam("new_sha256"),
        usage=bindparam("new_usage"),
        timings=bindparam("new_timings"),
        context=bindparam("new_context"),
        error=bindparam("new_error"),
        final_epoch=bindparam("new_final_epoch"),
        final_n=bindparam("new_final_n"),
        change=bindparam("number"),
        ended_at=bindparam("now"),
    )
)
_CANCEL = (
    update(generations)
    .where(
        generations.c.id == bindparam("of_generation"),
        generations.c.tenant == bindparam("of_tenant"),
        generations.c.user == bindparam("of_user"),
        unfinished,
    )
    .values(cancel=True)
)
_ANSWER_MOVED = (
    update(messages).where(messages.c.id == bindparam("of_message")).values(change=bindparam("number"))
)
_ANSWER_MADE = _ANSWER_MOVED.values(
    content=bindparam("text"), tokens=bindparam("new_tokens"), counter=bindparam("new_counter")
)
_RECOUNTED = (
    update(messages)
    .where(messages.c.id == bindparam("of_message"))
    .values(tokens=bindparam("new_tokens"), counter=bindparam("new_counter"))
)
_REMOVE_CHECKPOINTS = delete(checkpoints).where(checkpoints.c.generation == bindparam("of_generation"))


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
    #: It is claimed to be tried; what is claimed only to be ended isn't tried once more.
    attempt: bool = True

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["Claim"]
    ) -> Sequence[Claimed | ChatserverError | None]:
        states = await States.load(transaction.connection, [command.generation_id for command in commands])
        claims: list[dict[str, Any]] = []
        answers: list[dict[str, Any]] = []

        def claim(command: Claim) -> Claimed | None:
            state = states.under(command.generation_id, command.epoch_seen)
            if state is None:
                return _claimed_before(states.find(command.generation_id), command)
            check_move(state.status, Status.RUNNING)
            state.status, state.epoch, state.owner = Status.RUNNING, state.epoch + 1, command.owner
            state.attempts += command.attempt
            if state.message is not None:
                answers.append({"of_message": state.message, "number": states.number(state)})
            claims.append(_claim_row(command, state, states.number(state)))
            return Claimed(state.epoch, state.attempts, state.cancel)

        results = plan_each(claim, commands)
        await transaction.write(_CLAIM, claims)
        await transaction.write(_ANSWER_MOVED, answers)
        await states.save(transaction)
        return results


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
        states = await States.load(transaction.connection, [command.generation_id for command in commands])
        rows: list[dict[str, Any]] = []

        def begin(command: BeginAttempt) -> bool:
            if states.under(command.generation_id, command.epoch) is None:
                return False
            generation, epoch = command.generation_id, command.epoch
            rows.append({"of_generation": generation, "under_epoch": epoch, "attempt": command.attempt})
            return True

        results = plan_each(begin, commands)
        await transaction.write(_BEGIN_ATTEMPT, rows)
        return results


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
    #: Of the answer, where its counter was at hand.
    counted: Counted | None = None
    #: Of other messages, which had to be counted for the prompt: message -> count.
    recounted: Mapping[str, Counted] = field(default_factory=dict)

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["Finish"]
    ) -> Sequence[bool | ChatserverError]:
        states = await States.load(transaction.connection, [command.generation_id for command in commands])
        entries = await Entries.load(transaction.connection, states.conversations())
        ends: list[dict[str, Any]] = []
        answers: list[dict[str, Any]] = []

        def finish(command: Finish) -> bool:
            state = states.under(command.generation_id, command.epoch)
            if state is None:
                # Saved by a write whose answer got lost: the owner tries until it has one.
                return states.find(command.generation_id).end == _end_by(command)
            _check_end(state.status, command.status)
            state.status, state.end = command.status, _end_by(command)
            if state.message is not None:
                assert state.conversation is not None
                entries.add(state.principal, state.conversation, command.answer)
                number = states.number(state)
                answers.append(_answer_row(command, state.message, number))
            ends.append(_end_row(command, state, states.number(state)))
            return True

        results = plan_each(finish, commands)
        await transaction.write(_END, ends)
        await transaction.write(_ANSWER_MADE, answers)
        await transaction.write(_RECOUNTED, _recounted(commands))
        await entries.save(transaction)
        await transaction.write(
            _REMOVE_CHECKPOINTS, [{"of_generation": row["of_generation"]} for row in ends]
        )
        await states.save(transaction)
        return results


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
        # Only those of the one who asks: the others are not there for them.
        asked = [(command.generation_id, command.principal) for command in commands]
        rows = [
            {"of_generation": generation, "of_tenant": principal.tenant, "of_user": principal.user}
            for generation, principal in asked
        ]
        await transaction.write(_CANCEL, rows)
        query = select_generations().where(generations.c.id.in_({generation for generation, _ in asked}))
        found = [generation_of(row) for row in await transaction.connection.execute(query)]
        theirs = {(generation.id, generation.principal): generation for generation in found}
        return [theirs.get(pair) or NotFound() for pair in asked]


def _claimed_before(state: State, command: Claim) -> Claimed | None:
    """What the same claim got from a write whose answer was lost; None where it is somebody else's."""
    mine = state.owner == command.owner and state.epoch == command.epoch_seen + 1 and not state.status.ended
    return Claimed(state.epoch, state.attempts, state.cancel) if mine else None


def _end_by(command: Finish) -> End:
    return End(command.final, command.reason, command.sha256, command.now_ms)


def _claim_row(command: Claim, state: State, number: int | None) -> dict[str, Any]:
    return {
        "of_generation": command.generation_id,
        "epoch_seen": command.epoch_seen,
        "new_epoch": state.epoch,
        "new_owner": command.owner,
        "new_attempts": state.attempts,
        "number": number,
        "now": command.now_ms,
    }


def _end_row(command: Finish, state: State, number: int | None) -> dict[str, Any]:
    return {
        "of_generation": command.generation_id,
        "under_epoch": command.epoch,
        "new_status": command.status.value,
        "new_reason": command.reason.value,
        # A text is kept once: with its message, where it has one.
        "new_result": command.answer if state.message is None else None,
        "new_thinking": command.thinking or None,
        "new_tool_calls": command.tool_calls or None,
        "new_sha256": command.sha256,
        "new_usage": command.usage,
        "new_timings": command.timings,
        "new_context": command.context,
        "new_error": command.error,
        "new_final_epoch": command.final.epoch,
        "new_final_n": command.final.n,
        "number": number,
        "now": command.now_ms,
    }


def _answer_row(command: Finish, message: str, number: int | None) -> dict[str, Any]:
    count = columns_of_count(command.counted)
    return {
        "of_message": message,
        "text": command.answer,
        "number": number,
        "new_tokens": count["tokens"],
        "new_counter": count["counter"],
    }


def _recounted(commands: Sequence[Finish]) -> list[dict[str, Any]]:
    counts = {message: count for command in commands for message, count in command.recounted.items()}
    # In one order, where a database has row locks.
    return [
        {"of_message": message, "new_tokens": count.tokens, "new_counter": count.counter}
        for message, count in sorted(counts.items())
    ]


def _check_end(before: Status, after: Status) -> None:
    check_move(before, after)
    if not after.ended:
        raise IllegalMove(f"A generation doesn't end as {after}.")
