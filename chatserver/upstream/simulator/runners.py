"""Loaded models: who loads them, how many answers each makes at a time, and when they go.

As in Ollama, one loop loads one model after the other, a request that needs the model loaded differently
waits until it is idle, and a loaded model takes requests without limit, first come, first served.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chatserver.upstream.simulator.catalogue import SimulatedModel
from chatserver.upstream.simulator.options import SimulatorOptions
from chatserver.upstream.simulator.refusals import SERVER_BUSY, Refusal
from chatserver.upstream.simulator.stats import Stats

#: What Go's longest duration comes to, which is how Ollama says "for ever".
FOR_EVER_S = 9_223_372_036.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What a model is loaded with; a request that differs in anything needs a reload."""

    num_ctx: int
    shift: bool = True
    others: tuple[Any, ...] = ()


class Runner:
    """A loaded model."""

    def __init__(self, model: SimulatedModel, launch: Launch, parallel: int) -> None:
        self.model = model
        self.launch = launch
        #: The semaphore of asyncio serves its waiters in order.
        self.slots = asyncio.Semaphore(parallel)
        #: Requests that hold or await a slot, or have only just asked for the model.
        self.users = 0
        self.idle = asyncio.Event()
        self.keep_alive = 0.0
        self.expires_at = math.inf


class Runners:
    """All loaded models of one simulated server."""

    def __init__(
        self, options: SimulatorOptions, stats: Stats, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._stats = stats
        self._clock = clock
        self._loaded: dict[str, Runner] = {}
        self._loading = asyncio.Lock()
        self._awaiting_load = 0

    @asynccontextmanager
    async def use(
        self, model: SimulatedModel, launch: Launch, keep_alive: float | None
    ) -> AsyncIterator[Runner]:
        """Have `model` loaded as `launch` says, and keep it so while the block runs."""
        runner = self._fitting(model, launch) or await self._load(model, launch)
        runner.users += 1
        runner.idle.clear()
        # Stored on the model, not the request: the last one decides for everybody.
        runner.keep_alive = self._options.keep_alive_s if keep_alive is None else keep_alive
        try:
            yield runner
        finally:
            runner.users -= 1
            self._leave(runner)

    @asynccontextmanager
    async def slot(self, runner: Runner) -> AsyncIterator[None]:
        """Wait for one of the model's slots and hold it while the block runs."""
        with self._stats.one_waiting():
            await runner.slots.acquire()
        try:
            with self._stats.one_in_flight():
                yield
        finally:
            runner.slots.release()

    def unload(self, model: SimulatedModel) -> None:
        """Let `model` go as soon as nobody uses it."""
        runner = self._loaded.get(model.name)
        if runner:
            runner.keep_alive = 0
            self._leave(runner)

    def loaded(self) -> list[tuple[Runner, float]]:
        """Return the loaded models and the seconds each has left, longest first."""
        self._drop_expired()
        now = self._clock()
        left = [
            (runner, min(runner.keep_alive if runner.users else runner.expires_at - now, FOR_EVER_S))
            for runner in self._loaded.values()
        ]
        return sorted(left, key=lambda entry: -entry[1])

    def _fitting(self, model: SimulatedModel, launch: Launch) -> Runner | None:
        self._drop_expired()
        runner = self._loaded.get(model.name)
        return runner if runner and runner.launch == launch else None

    async def _load(self, model: SimulatedModel, launch: Launch) -> Runner:
        if self._awaiting_load >= self._options.max_queue:
            raise Refusal(503, SERVER_BUSY)
        self._awaiting_load += 1
        try:
            with self._stats.one_waiting():
                async with self._loading:
                    # Whoever was before may have loaded it.
                    return self._fitting(model, launch) or await self._replace(model, launch)
        finally:
            self._awaiting_load -= 1

    async def _replace(self, model: SimulatedModel, launch: Launch) -> Runner:
        """Load under the requester's own task: if its client leaves, the load is aborted."""
        while old := self._loaded.get(model.name):
            if old.users:
                await old.idle.wait()
            else:
                del self._loaded[model.name]
        await asyncio.sleep(self._options.load_ms / 1000)
        parallel = 1 if model.can("embedding") else self._options.parallel
        runner = self._loaded[model.name] = Runner(model, launch, parallel)
        self._stats.loads += 1
        return runner

    def _leave(self, runner: Runner) -> None:
        if not runner.users:
            runner.expires_at = self._clock() + runner.keep_alive
            runner.idle.set()
            self._drop_expired()

    def _drop_expired(self) -> None:
        now = self._clock()
        for name, runner in list(self._loaded.items()):
            if not runner.users and runner.expires_at <= now:
                del self._loaded[name]
