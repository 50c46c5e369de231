"""This instance among the others: it says that it lives, and takes in what those have left that don't."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NoReturn

import structlog

from chatserver.engine.engine import Engine
from chatserver.engine.peers import Peers
from chatserver.errors import StoreUnavailable
from chatserver.generation.clock import Clock
from chatserver.storage.generations import Generations
from chatserver.storage.housekeeping import ForgetLeftHousekeeping
from chatserver.storage.instances import Adopt, HandOver, Instances, KeepAlive, Leave, Living
from chatserver.storage.records import Generation
from chatserver.storage.writer import Writer

#: Rounds in a lease: two may fail before anybody takes this instance for dead.
_ROUNDS_A_LEASE = 3
#: Generations taken in at once, and seconds before the next ones: the other instances want some as well.
_TAKEN_AT_ONCE = 16
_NEXT_AFTER_S = 0.05

log = structlog.get_logger()


class Membership:
    def __init__(
        self,
        *,
        lease_s: float,
        peers: Peers,
        instances: Instances,
        writer: Writer,
        clock: Clock,
        engine: Engine,
        generations: Generations,
        take_in: Callable[[Generation], None],
        connections: Callable[[], int],
    ) -> None:
        self._name = engine.owner
        self._lease_s = lease_s
        self._peers = peers
        self._instances = instances
        self._writer = writer
        self._clock = clock
        self._engine = engine
        self._generations = generations
        self._take_in = take_in
        self._connections = connections
        #: Before then nobody is taken for dead: they may only have been unable to say that they live.
        self._trusts_leases_at = 0.0
        #: Who lives, this instance among them, when that was last looked at.
        self.living = Living(1, 0)
        self._left = False
        self._look_now = asyncio.Event()

    async def join(self) -> None:
        """Live from now on. Whoever else seems dead has a lease's time to come back, as after an outage."""
        await self._keep_alive()
        if await self._instances.others(self._name):
            self._mistrust()

    async def run(self) -> NoReturn:
        with self._peers.hearing_cancels(self._engine.cancel), self._peers.hearing_left(self._look_now.set):
            while True:
                more = await self._round()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_NEXT_AFTER_S if more else self._lease_s / _ROUNDS_A_LEASE):
                        await self._look_now.wait()

    async def leave(self, undone: Mapping[str, bool]) -> None:
        """Live no longer: what is undone here is for the others, at once.

        `undone`: generations, and whether each had been begun.
        """
        self._left = True
        handed = [HandOver(generation, self._name, tried) for generation, tried in undone.items()]
        try:
            await asyncio.gather(*map(self._writer.submit, handed))
            await self._writer.submit(Leave(self._name))
        except StoreUnavailable:
            log.warning("left_unsaid", instance=self._name)
        else:
            self._peers.tell_left()

    async def _round(self) -> bool:
        """Say that this instance lives, and take in some of what has no owner; True where there is more."""
        self._look_now.clear()
        if self._left:
            return False
        try:
            if not await self._keep_alive():
                # Whatever held this instance up for a whole lease may have held up the others as well.
                self._mistrust()
            self.living = await self._instances.living()
            for generation in await self._instances.cancelled(self._name):
                self._engine.cancel(generation)
            if self._engine.draining:
                # What is taken in now would wait for nobody until this instance has gone.
                return False
            await self._find_forgotten()
            await self._writer.submit(ForgetLeftHousekeeping())
            if self._peers.connected:
                # What was handed over has no owner who could live after all.
                return await self._adopt(handed_over=self._clock.now() < self._trusts_leases_at)
        except StoreUnavailable:
            # The others can't say that they live either.
            self._mistrust()
        return False

    async def _keep_alive(self) -> bool:
        lease_ms = round(1000 * self._lease_s)
        return await self._writer.submit(KeepAlive(self._name, lease_ms, self._connections()))

    def _mistrust(self) -> None:
        self._trusts_leases_at = self._clock.now() + self._lease_s

    async def _find_forgotten(self) -> None:
        """Take in what is ours and not at work here: its acceptance got no answer, or it came back."""
        for generation in await self._instances.owned(self._name):
            if self._engine.feed(generation) is None:
                record = await self._generations.find(generation)
                if record is not None and not record.status.ended and self._engine.feed(generation) is None:
                    self._take_in(record)

    async def _adopt(self, *, handed_over: bool) -> bool:
        orphans = await self._instances.orphans(_TAKEN_AT_ONCE, handed_over=handed_over)
        adopting = (self._writer.submit(Adopt(each.generation, each.epoch, self._name)) for each in orphans)
        adopted = [record for record in await asyncio.gather(*adopting) if record is not None]
        for record in adopted:
            # One that is still at work here, under an epoch that may be over, is looked after next time.
            if not self._left and self._engine.feed(record.id) is None:
                self._take_in(record)
        if adopted:
            log.info("taken_in", generations=len(adopted))
        return len(orphans) == _TAKEN_AT_ONCE
