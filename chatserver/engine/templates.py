"""Which versions of models go on with an answer that was begun, as far as that was found out."""

import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeVar

from chatserver.generation.clock import Clock
from chatserver.storage.probes import KeepProbe, Probes
from chatserver.storage.writer import Writer
from chatserver.upstream.fleet import Fleet

#: Versions remembered, and models to be asked; the ones that were noted longest ago go first.
_MOST = 100
#: It comes from a model server, and goes into the store.
_DIGEST = re.compile(r"[0-9a-f]{64}")

V = TypeVar("V")


class Templates:
    def __init__(self, fleet: Fleet, probes: Probes, writer: Writer, clock: Clock) -> None:
        self._fleet = fleet
        self._probes = probes
        self._writer = writer
        self._clock = clock
        self._known: OrderedDict[str, bool] = OrderedDict()
        #: Models of which it is to be found out, and from when on, by the clock.
        self._open: OrderedDict[str, float] = OrderedDict()

    def version(self, model: str) -> str | None:
        """Tell one version of a model from another; None where no server has it."""
        digest = self._fleet.digest(model)
        return digest if _DIGEST.fullmatch(digest) else None

    def note(self, model: str) -> None:
        """Have it found out of a model that answers: somebody may have to go on with that."""
        if model not in self._open and self.version(model) not in self._known:
            _put(self._open, model, self._clock.now())

    def unknown(self) -> Iterable[str]:
        """Give the models that are to be asked now."""
        now = self._clock.now()
        return [model for model, due in self._open.items() if due <= now]

    def put_off(self, model: str, seconds: float) -> None:
        # It may have been let go while it was asked; the bound counts it again.
        _put(self._open, model, self._clock.now() + seconds)

    def settle(self, model: str) -> None:
        self._open.pop(model, None)

    async def go_on(self, model: str) -> bool | None:
        """Say whether a model goes on with a beginning; None where nobody knows."""
        version = self.version(model)
        if version is None or version in self._known:
            return self._known.get(version or "")
        found = await self._probes.continues(version, self._clock.wall_ms())
        if found is not None:
            _put(self._known, version, found)
        return found

    async def learn(self, version: str, *, continues: bool) -> None:
        """Keep what was found out, for all instances."""
        await self._writer.submit(KeepProbe(version, continues, self._clock.wall_ms()))
        _put(self._known, version, continues)


def _put(kept: OrderedDict[str, V], key: str, value: V) -> None:
    kept[key] = value
    if len(kept) > _MOST:
        kept.popitem(last=False)
