"""The parts that are run and closed, as the process has them: what each is, and what they do together."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

from chatserver.app.store import Store
from chatserver.backplane.redis.backplane import RedisBackplane
from chatserver.chat.watching import Watchers
from chatserver.engine.checkpoints import Checkpoints
from chatserver.engine.engine import Engine
from chatserver.engine.housekeeping import Housekeeping
from chatserver.engine.membership import Membership
from chatserver.engine.patience import Patience
from chatserver.engine.peers import Peers
from chatserver.engine.probing import Probing
from chatserver.engine.prompts import Prompts
from chatserver.engine.recovery import recover
from chatserver.engine.templates import Templates
from chatserver.generation.clock import Clock
from chatserver.settings import Settings
from chatserver.storage.serving_lock import ServingLock
from chatserver.telemetry.metrics import Metrics
from chatserver.transports.readers import Readers
from chatserver.upstream.fleet import Fleet

#: Seconds between two looks at what instances may have missed of each other.
ROUND_S = 2.0


@dataclass(frozen=True)
class Parts:
    """What the process has to run, to watch and to end."""

    settings: Settings
    #: Signs cookies and tickets.
    secret: bytes
    clock: Clock
    metrics: Metrics
    patience: Patience
    watchers: Watchers
    readers: Readers
    store: Store
    fleet: Fleet
    prompts: Prompts
    peers: Peers
    engine: Engine
    housekeeping: Housekeeping
    templates: Templates
    #: Finds out whose answers another instance could go on with.
    probing: Probing
    checkpoints: Checkpoints
    membership: Membership
    #: What keeps other processes off a database on a server; a file's folder is locked instead.
    serving_lock: ServingLock | None
    #: Where instances meet; None for one that is alone.
    redis: RedisBackplane | None

    @property
    def sharing(self) -> Mapping[str, Callable[[], Coroutine[None, None, None]]]:
        """What lets other instances take part, by name; nothing where there are none."""
        if self.redis is None:
            return {}
        return {
            "backplane": self.redis.run,
            "peers": self.peers.run,
            "membership": self.membership.run,
            "templates": self.probing.run,
            "watchers": lambda: self.watchers.compare(self.store.conversations.numbers, ROUND_S),
        }

    async def take_up(self) -> None:
        """Go on with what was accepted, and neither ended nor is known here: by an earlier process mostly.

        Among others it is the membership that does so, as soon as it is known who is dead.
        """
        if not self.peers.alone:
            return
        most = self.settings.generation.attempts
        await self.patience.ask("take up", lambda: recover(self.store.generations, self.engine, most))

    async def hand_over(self) -> None:
        """Leave what runs here to the other instances, which go on with it at once."""
        await self.housekeeping.close()
        await self.checkpoints.save()
        undone = {job.generation: bool(job.epoch) for job in self.engine.jobs() if not job.chore}
        await self.engine.close()
        await self.peers.settle()
        await self.membership.leave(undone)

    async def clear_doubts(self) -> None:
        """Take up, for ever, what was accepted in a write whose answer got lost when the store went away."""
        while True:
            await self.store.writer.recovery()
            await self.take_up()
