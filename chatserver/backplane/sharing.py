"""The owner's side: what this process writes into its logs reaches the others, in one step a tick."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NoReturn

import structlog

from chatserver.backplane.port import Appending, Backplane, Refused
from chatserver.errors import BackplaneUnavailable, StaleEpoch, StoreUnavailable
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Ending

#: Pieces of one log in one step; the rest follows in the next.
_PIECES_A_STEP = 500
#: Logs in one step.
_LOGS_A_STEP = 200
#: Seconds before what could not be shared is tried again.
_TRY_AGAIN_S = 0.2

log = structlog.get_logger()

#: Called when another owner has begun a newer epoch: stop, and follow like everybody else.
Fenced = Callable[[], None]
#: Asks the store whether a generation still runs under an epoch.
Confirm = Callable[[str, int], Awaitable[bool]]


class _SharedLog:
    """How much of one log is shared."""

    __slots__ = ("_mark", "feed", "on_fenced", "opened", "sent", "settled")

    def __init__(self, feed: Feed, on_fenced: Fenced, mark: Callable[["_SharedLog"], None]) -> None:
        self.feed = feed
        self.on_fenced = on_fenced
        self.opened = False
        #: The number of the last piece that is shared.
        self.sent = 0
        #: Done when all that there was is shared, for whoever waits for that.
        self.settled: list[tuple[int, asyncio.Future[None]]] = []
        self._mark = mark

    def notify(self) -> None:
        self._mark(self)

    @property
    def has_news(self) -> bool:
        return self.sent < self.feed.log.top

    def next(self) -> Appending:
        log = self.feed.log
        pieces = log.pieces(self.sent, _PIECES_A_STEP)
        return Appending(self.feed.generation, log.epoch, self.sent + 1, pieces)

    def reached(self, length: int) -> None:
        """Take note that so many pieces are shared; fewer than before where Redis has lost some."""
        self.sent = min(length, self.feed.log.top)
        if not self.settled:
            return
        for wanted, settled in self.settled:
            if wanted <= self.sent and not settled.done():
                settled.set_result(None)
        self.settled = [waiting for waiting in self.settled if not waiting[1].done()]


class Sharing:
    def __init__(self, backplane: Backplane, tick_s: float, confirm: Confirm) -> None:
        self._backplane = backplane
        self._tick_s = tick_s
        self._confirm = confirm
        self._logs: dict[Feed, _SharedLog] = {}
        self._dirty: set[_SharedLog] = set()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._logs)

    def share(self, feed: Feed, on_fenced: Fenced, known: int = 0) -> None:
        """Share a log and all that is added to it; its first `known` pieces were taken from the others."""
        if self._backplane.alone:
            return
        shared = self._logs[feed] = _SharedLog(feed, on_fenced, self._mark)
        shared.sent, shared.opened = known, known > 0
        feed.listen(shared)
        self._mark(shared)

    def unshare(self, feed: Feed) -> None:
        """Share nothing more of it; what was shared stays for its time."""
        shared = self._logs.pop(feed, None)
        if shared is None:
            return
        feed.leave(shared)
        self._dirty.discard(shared)
        for _, settled in shared.settled:
            # Not cancelled: whoever waits would take that for being told to stop.
            if not settled.done():
                settled.set_result(None)

    async def settle(self, feed: Feed) -> None:
        """Wait until the others have all that is in the log now, or it isn't ours to share any more."""
        shared = self._logs.get(feed)
        if shared is None or shared.sent >= feed.log.top:
            return
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        shared.settled.append((feed.log.top, settled))
        await settled

    async def end(self, feed: Feed, ending: Ending) -> bool:
        """Share a log's end, which isn't in it yet; False where it can't be, or isn't ours to end."""
        if feed not in self._logs:
            return False
        await self.settle(feed)
        last = feed.log.top + 1
        [length] = await self._backplane.append([Appending(feed.generation, feed.log.epoch, last, [ending])])
        return length == last

    async def settle_all(self) -> None:
        await asyncio.gather(*(self.settle(feed) for feed in list(self._logs)))

    async def run(self) -> NoReturn:
        """Share what is new, for ever. What comes while a step is under way waits for the next one."""
        while True:
            await self._news.wait()
            await asyncio.sleep(self._tick_s)
            self._news.clear()
            dirty, self._dirty = list(self._dirty), set()
            for start in range(0, len(dirty), _LOGS_A_STEP):
                await self._patiently(dirty[start : start + _LOGS_A_STEP])

    async def _patiently(self, logs: Sequence[_SharedLog]) -> None:
        try:
            await self._step(logs)
        except (BackplaneUnavailable, StoreUnavailable):
            # All of them once more: what did arrive changes nothing.
            for shared in logs:
                self._mark(shared)
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _step(self, logs: Sequence[_SharedLog]) -> None:
        for shared in self._still_shared(logs):
            if not shared.opened:
                await self._open(shared)
        fresh = [shared for shared in self._still_shared(logs) if shared.opened and shared.has_news]
        if not fresh:
            return
        lengths = await self._backplane.append([shared.next() for shared in fresh])
        refused: list[tuple[_SharedLog, Refused]] = []
        for shared, length in zip(fresh, lengths, strict=True):
            if isinstance(length, Refused):
                refused.append((shared, length))
            else:
                self._take(shared, length)
        # Last, because the store may be asked, and that may be away.
        for shared, refusal in refused:
            await self._take_refusal(shared, refusal)

    async def _open(self, shared: _SharedLog) -> None:
        feed = shared.feed
        try:
            await self._backplane.open(feed.generation, feed.log.begun())
        except StaleEpoch:
            self._fence(shared)
        else:
            shared.opened = True

    def _take(self, shared: _SharedLog, length: int) -> None:
        shared.reached(length)
        if shared.has_news:
            self._mark(shared)
        elif shared.feed.log.ended:
            self.unshare(shared.feed)

    async def _take_refusal(self, shared: _SharedLog, refusal: Refused) -> None:
        if refusal is Refused.FENCED:
            self._fence(shared)
        else:
            await self._put_back(shared)

    async def _put_back(self, shared: _SharedLog) -> None:
        """Share all of it anew, at the same positions, if it is still ours."""
        feed = shared.feed
        if not await self._confirm(feed.generation, feed.log.epoch):
            self._fence(shared)
            return
        log.info("shared_log_gone", generation=feed.generation)
        shared.opened, shared.sent = False, 0
        self._mark(shared)

    def _fence(self, shared: _SharedLog) -> None:
        if shared.feed in self._logs:
            self.unshare(shared.feed)
            shared.on_fenced()

    def _still_shared(self, logs: Iterable[_SharedLog]) -> list[_SharedLog]:
        return [shared for shared in logs if self._logs.get(shared.feed) is shared]

    def _mark(self, shared: _SharedLog) -> None:
        self._dirty.add(shared)
        self._news.set()
