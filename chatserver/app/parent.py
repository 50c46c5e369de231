"""The parent of several workers, as each of them meets it."""

import asyncio
from collections.abc import Callable

import structlog

from chatserver.app.channel import All, Ask, Channel, Ready, Tell, Told
from chatserver.errors import Unavailable
from chatserver.telemetry.metrics import Metrics
from chatserver.telemetry.summing import figures_of

#: Seconds in which the figures of all have to be there.
_FIGURES_S = 5.0

log = structlog.get_logger()


class Parent:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        #: The figures of all, while somebody waits for them.
        self._awaited: asyncio.Future[bytes] | None = None

    def ready(self) -> None:
        self._channel.send(Ready())

    async def figures(self) -> bytes:
        """Ask for the figures of all workers; whoever asks meanwhile gets the same."""
        if self._awaited is None:
            self._awaited = asyncio.get_running_loop().create_future()
            self._channel.send(Ask())
        try:
            async with asyncio.timeout(_FIGURES_S):
                return await asyncio.shield(self._awaited)
        except TimeoutError as error:
            # Those of one alone would look as if much had been undone.
            raise Unavailable("The figures of all processes can't be had right now.") from error

    async def obey(self, metrics: Metrics, stop: Callable[[], None]) -> None:
        """Answer until the parent has gone; then nobody would start this process again or end it."""
        while (message := await self._channel.receive()) is not None:
            match message:
                case Tell():
                    self._channel.send(Told(figures_of(metrics.registry)))
                case All(text):
                    awaited, self._awaited = self._awaited, None
                    if awaited is not None:
                        awaited.set_result(text)
        log.warning("parent_gone")
        stop()
