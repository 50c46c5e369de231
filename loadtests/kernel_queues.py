"""What the kernel holds for the peers of a server: how much is unsent to each, and who has gone."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

_ESTABLISHED = "01"
#: Seconds between two looks.
_LOOK_S = 0.25


def unsent(table: str, port: int) -> dict[int, int]:
    """Give the bytes that wait to be sent from `port`, by the port of the peer, of open connections."""
    found = {}
    for line in table.splitlines()[1:]:
        _, ours, theirs, state, queues, *_ = line.split()
        if state == _ESTABLISHED and int(ours.partition(":")[2], 16) == port:
            found[int(theirs.partition(":")[2], 16)] = int(queues.partition(":")[0], 16)
    return found


class Fates:
    """When the queue of each peer stopped changing, because it was full, and when the peer was gone."""

    def __init__(self, peers: Iterable[int]) -> None:
        self._left = set(peers)
        self._unsent: dict[int, int] = {}
        #: Nanoseconds since the epoch, by the peer's port.
        self.full: dict[int, int] = {}
        self.gone: dict[int, int] = {}

    @property
    def all_gone(self) -> bool:
        return not self._left

    def look(self, now: int, queues: dict[int, int]) -> None:
        for peer in list(self._left):
            if peer not in queues:
                self.gone[peer] = now
                self._left.discard(peer)
            elif queues[peer] != self._unsent.get(peer):
                self._unsent[peer] = queues[peer]
                self.full[peer] = now

    def seconds(self) -> Sequence[float]:
        """Tell how long each was there after its socket had become full."""
        return [(gone - self.full.get(peer, gone)) / 1e9 for peer, gone in self.gone.items()]

    async def look_on(self, port: int) -> None:
        """Look until all are gone."""
        while not self.all_gone:
            self.look(time.time_ns(), unsent(_table(), port))
            await asyncio.sleep(_LOOK_S)


def _table() -> str:
    return Path("/proc/net/tcp").read_text()
