"""The stand-in for a model server: a simulated one, in this process, until a real one answers."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Self

import structlog

from chatserver.app.listening import listen
from chatserver.errors import UpstreamError
from chatserver.upstream.client import Deadlines, OllamaClient
from chatserver.upstream.fleet import Fleet
from chatserver.upstream.simulator import SimulatorOptions
from chatserver.upstream.simulator.serve import serve_simulator

#: Seconds between two looks whether a real server answers.
_LOOK_EVERY_S = 5.0
_DEADLINES = Deadlines(connect=5, first_token=30, between_tokens=30)
#: As fast as a person likes to watch.
_READABLE = SimulatorOptions(rate=40, first_token_ms=300)

log = structlog.get_logger()


class Demo:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._real = fleet.clients
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def look(self) -> None:
        """Put the simulated model in the place of servers none of which answers."""
        await self._fleet.refresh()
        if self._fleet.answering:
            return
        address = await self._stack.enter_async_context(serve_simulator(_READABLE, listen("127.0.0.1", 0)))
        simulated = await self._stack.enter_async_context(OllamaClient(address, _DEADLINES))
        self._fleet.replace([simulated], simulated=True)
        await self._fleet.refresh()
        log.warning(
            "simulated_model",
            detail="No Ollama answers, so a simulated model does. Start Ollama, or set "
            "CHATSERVER_OLLAMA_URLS to where it is.",
        )

    async def watch(self) -> None:
        """Let real servers take over as soon as one of them answers."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._fleet.simulated and await self._some_real_one_answers():
                self._fleet.replace(self._real)
                await self._fleet.refresh()
                log.info("real_models", detail="An Ollama answers now, in place of the simulated model.")

    async def _some_real_one_answers(self) -> bool:
        for client in self._real:
            with suppress(UpstreamError):
                await client.version()
                return True
        return False
