"""How many messages somebody may send: exact windows that slide, by user and by address."""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass

from chatserver.access.visitors import LOCAL
from chatserver.errors import TooMany
from chatserver.generation.clock import Clock
from chatserver.generation.principal import Principal

_MINUTE = 60.0
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

    def __init__(self, most: int, seconds: float = _MINUTE) -> None:
        self.most = most
        self._seconds = seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, name: str, now: float) -> float:
        """Give the seconds until one more is allowed; 0 when it is now."""
        times = self._times.get(name)
        if times is None:
            return 0.0
        while times and times[0] <= now - self._seconds:
            times.popleft()
        return 0.0 if len(times) < self.most else times[0] + self._seconds - now

    def count(self, name: str, now: float) -> None:
        self._times.setdefault(name, deque()).append(now)
        self._times.move_to_end(name)
        if len(self._times) > _WINDOWS:
            self._times.popitem(last=False)


class Allowances:
    def __init__(self, clock: Clock, per_user: int, per_address: int) -> None:
        self._clock = clock
        self._users = Windows(per_user)
        self._addresses = Windows(per_address)

    def take(self, caller: Caller) -> None:
        """Count one message, or refuse it with the time to wait."""
        now = self._clock.now()
        for windows, name, setting in (
            (self._users, caller.name, "messages_per_minute"),
            (self._addresses, caller.address, "per_address_per_minute"),
        ):
            wait = windows.wait(name, now)
            if wait > 0:
                raise TooMany(
                    f"At most {windows.most} messages a minute; wait {math.ceil(wait)} seconds.",
                    retry_after=wait,
                    limit=windows.most,
                    setting=setting,
                )
        self._users.count(caller.name, now)
        self._addresses.count(caller.address, now)
