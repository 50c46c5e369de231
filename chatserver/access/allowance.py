"""How many messages somebody may send: exact windows that slide, by user and by address."""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass

from chatserver.access.visitors import LOCAL
from chatserver.errors import TooMany
from chatserver.generation.clock import Clock
from chatserver.generation.principal import Principal

MINUTE = 60.0
#: Windows kept; the one that was used longest ago makes room. Forgetting a window forgives its messages.
_WINDOWS = 100_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and from where."""

    principal: Principal
    address: str

    @property
    def name(self) -> str:
        """Whom a limit counts: those who share the local user are told apart by their addresses."""
        return f"address {self.address}" if self.principal == LOCAL else f"user {self.principal.user}"


class Windows:
    """So many in a minute for each name."""

    def __init__(self, most: int, seconds: float = MINUTE) -> None:
        self.most = most
        self._seconds = seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, name: str, now: float, most: int | None = None) -> float:
        """Give the seconds until one more is allowed; 0 when it is now."""
        most = most or self.most
        times = self._times.get(name)
        if times is None:
            return 0.0
        while times and times[0] <= now - self._seconds:
            times.popleft()
        return 0.0 if len(times) < most else times[-most] + self._seconds - now

    def count(self, name: str, now: float) -> None:
        times = self._times.get(name)
        if times is None:
            # Older ones decide nothing. While Redis counts, nobody waits here, so none of them would go.
            times = self._times[name] = deque(maxlen=self.most)
            if len(self._times) > _WINDOWS:
                self._times.popitem(last=False)
        times.append(now)
        self._times.move_to_end(name)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whose messages are counted, and how many a minute takes."""

    setting: str
    name: str
    most: int

    def refusal(self, wait: float) -> TooMany:
        return TooMany(
            f"At most {self.most} messages a minute; wait {math.ceil(wait)} seconds.",
            retry_after=wait,
            limit=self.most,
            setting=self.setting,
        )


class Allowances:
    def __init__(self, clock: Clock, per_user: int, per_address: int) -> None:
        self._clock = clock
        self._users = Windows(per_user)
        self._addresses = Windows(per_address)
        self._kept = (self._users, self._addresses)

    def of(self, caller: Caller) -> tuple[Allowance, Allowance]:
        return (
            Allowance("messages_per_minute", caller.name, self._users.most),
            Allowance("per_address_per_minute", f"address {caller.address}", self._addresses.most),
        )

    def take(self, caller: Caller, sharers: int = 1) -> None:
        """Count one message, or refuse it with the time to wait.

        `sharers`: instances that count apart for the time being, each with its part of what is allowed.
        """
        now, allowances = self._clock.now(), self.of(caller)
        for windows, allowance in zip(self._kept, allowances, strict=True):
            # Nobody seems to live where the store was slow for a whole lease; this one does.
            wait = windows.wait(allowance.name, now, math.ceil(allowance.most / max(1, sharers)))
            if wait > 0:
                raise allowance.refusal(wait)
        self._count(allowances, now)

    def note(self, caller: Caller) -> None:
        """Count one message that was allowed elsewhere."""
        self._count(self.of(caller), self._clock.now())

    def _count(self, allowances: tuple[Allowance, Allowance], now: float) -> None:
        for windows, allowance in zip(self._kept, allowances, strict=True):
            windows.count(allowance.name, now)
