"""Accepting a generation, from a turn or from handed-in work: once, on disk, and then on its way."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import orjson

from chatserver.access.allowance import Caller
from chatserver.chat.allowing import Allowing
from chatserver.chat.resources import GenerationResource
from chatserver.engine.engine import Engine
from chatserver.errors import ContextTooLong, StoreUnavailable, TooMany, Unavailable
from chatserver.generation.clock import Clock
from chatserver.storage.generations import AcceptGeneration
from chatserver.storage.keys import Repeats
from chatserver.storage.records import Accepted, Idempotency, Stored
from chatserver.storage.regenerating import Regenerate
from chatserver.storage.turns import AcceptTurn
from chatserver.storage.writer import Writer
from chatserver.telemetry.metrics import Metrics

#: How many are committed at the same time, so that the first of a burst are answered before the last are
#: stored. With fewer, a commit costs more than those after it gain, and the middle of a hundred comes second.
AT_ONCE = 64
#: Seconds to wait for those before: a store that hangs for as long takes nothing of what comes behind them.
_LONGEST_WAIT_S = 5

#: What a generation is accepted by.
Acceptance = AcceptTurn | Regenerate | AcceptGeneration


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to something accepted, the same however often it is asked for."""

    status: int
    body: bytes

    @property
    def generation(self) -> str:
        return str(orjson.loads(self.body)["generation"]["id"])


@dataclass(frozen=True)
class Accepting:
    engine: Engine
    writer: Writer
    repeats: Repeats
    allowing: Allowing
    clock: Clock
    metrics: Metrics
    #: Places of those that are being committed.
    committing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def accept(
        self, caller: Caller, key: Idempotency | None, prepare: Callable[[], Awaitable[Acceptance]]
    ) -> Receipt:
        """Accept what `prepare` makes; a repeat gets its first answer."""

        async def admit() -> Receipt:
            with self.engine.coming():
                # Refused before anything is read: what is read for nothing holds up the rest.
                with self.engine.preparing(caller.name):
                    command = await prepare()
                    await self._take_place()
                try:
                    return await self.engine.carry(self._commit(caller, command))
                finally:
                    self.committing.release()

        return await self.allowed(caller, key, admit)

    async def _take_place(self) -> None:
        # One that is free is had at once.
        wait_s = _LONGEST_WAIT_S if self.committing.locked() else None
        try:
            async with asyncio.timeout(wait_s):
                await self.committing.acquire()
        except TimeoutError:
            raise StoreUnavailable from None

    async def allowed(
        self, caller: Caller, key: Idempotency | None, do: Callable[[], Awaitable[Receipt]]
    ) -> Receipt:
        """Do it within the caller's allowance; a repeat gets its first answer in any case."""
        try:
            await self.allowing.take(caller)
            return await do()
        except (Unavailable, TooMany, ContextTooLong):
            # Looked up only here: what isn't refused finds its key in its own transaction.
            found = await self._repeated(caller, key)
            if found is None:
                raise
            return found

    async def _commit(self, caller: Caller, command: Acceptance) -> Receipt:
        elsewhere = await self.allowing.unfinished_elsewhere(caller)
        with self.engine.admit(
            command.generation_id,
            caller.principal,
            command.model,
            command.lane,
            account=caller.name,
            elsewhere=elsewhere,
        ) as admission:
            claiming = replace(command, claimed=admission.slot is not None)
            accepted = await self.writer.submit(claiming)
            if accepted.replayed is None:
                admission.accept(accepted.generation)
                self.metrics.accepted(command.lane)
        stored = accepted.replayed or command.reply(accepted)
        return Receipt(stored.status, stored.body)

    async def _repeated(self, caller: Caller, key: Idempotency | None) -> Receipt | None:
        if key is None:
            return None
        stored = await self.repeats.find(caller.principal, key, self.clock.wall_ms())
        return Receipt(stored.status, stored.body) if stored else None


def accepted_generation(accepted: Accepted) -> Stored:
    generation = GenerationResource.of(accepted.generation).model_dump_json()
    return Stored(202, f'{{"generation":{generation}}}'.encode())
