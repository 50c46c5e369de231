"""The parts that are opened, run and closed: settings become a store, model servers and an engine."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from chatserver.app.engine import make_engine, make_housekeeping, make_membership, make_prompts
from chatserver.app.store import Store, lock_server, open_store
from chatserver.backplane.memory import MemoryBackplane
from chatserver.backplane.redis.backplane import Lifetimes, RedisBackplane
from chatserver.backplane.redis.start import check_redis
from chatserver.backplane.redis.windows import SharedWindows
from chatserver.chat.watching import Watchers
from chatserver.context.measures import Measures
from chatserver.context.vocabulary_files import VocabularyFiles
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
from chatserver.errors import Unavailable
from chatserver.generation.clock import Clock, SystemClock
from chatserver.settings import Settings
from chatserver.storage.folder import DataFolder
from chatserver.storage.instances import Instances
from chatserver.storage.probes import Probes
from chatserver.storage.serving_lock import ServingLock
from chatserver.telemetry.metrics import LaneFigures, Metrics
from chatserver.transports.readers import Readers
from chatserver.upstream.client import Deadlines, OllamaClient
from chatserver.upstream.fleet import Fleet

#: Seconds between two steps in which instances share what is new, and between two looks at what was missed.
_TICK_S = 0.006
_ROUND_S = 2.0


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
    #: What all instances count together; None for one that is alone.
    windows: SharedWindows | None
    #: What lets other instances take part, by name; nothing where there are none.
    sharing: Mapping[str, Callable[[], Coroutine[None, None, None]]]

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


@asynccontextmanager
async def assemble(settings: Settings) -> AsyncIterator[Parts]:
    """Open everything, and close it all in the end."""
    async with AsyncExitStack() as stack:
        metrics, clock = Metrics(), SystemClock()
        redis = await _open_backplane(stack, settings)
        backplane = redis or MemoryBackplane()
        watchers = Watchers(backplane)
        folder = await stack.enter_async_context(
            DataFolder(settings.server.data_dir, settings.server.grace_s, shared=not backplane.alone)
        )
        serving_lock = await lock_server(stack, settings) if backplane.alone else None
        store = await open_store(stack, settings, folder, metrics, watchers)
        fleet = await _open_fleet(stack, settings, clock)
        measures = await stack.enter_async_context(
            Measures(fleet, VocabularyFiles(folder.path / "vocabularies"), clock)
        )
        prompts = make_prompts(settings, store, fleet, measures)
        instances = Instances(store.database)
        peers = Peers(backplane, instances, store.generations, tick_s=_TICK_S, round_s=_ROUND_S)
        templates = Templates(fleet, Probes(store.database), store.writer, clock)
        patience, readers = Patience(clock), Readers(settings.limits.connections, metrics)
        engine = make_engine(
            settings,
            store,
            prompts=prompts,
            peers=peers,
            clock=clock,
            metrics=metrics,
            patience=patience,
            templates=templates,
        )
        housekeeping = make_housekeeping(
            settings, store, prompts=prompts, engine=engine, clock=clock, metrics=metrics
        )
        probing = Probing(templates, engine, prompts)
        membership = make_membership(
            settings, store, readers, peers=peers, instances=instances, engine=engine, clock=clock
        )
        parts = Parts(
            settings=settings,
            secret=settings.server.secret.get_secret_value().encode() or folder.secret(),
            clock=clock,
            metrics=metrics,
            patience=patience,
            watchers=watchers,
            readers=readers,
            store=store,
            fleet=fleet,
            prompts=prompts,
            serving_lock=serving_lock,
            peers=peers,
            engine=engine,
            housekeeping=housekeeping,
            templates=templates,
            probing=probing,
            checkpoints=Checkpoints(engine.jobs, store.writer, settings.store.checkpoint_ms / 1000),
            membership=membership,
            windows=redis.windows if redis else None,
            sharing=_sharing(
                redis, peers=peers, membership=membership, probing=probing, watchers=watchers, store=store
            ),
        )
        if not peers.alone:
            await membership.join()
        _watch(engine, metrics)
        await fleet.refresh()
        await _prepare(fleet, measures)
        _save_in_the_end(stack, parts)
        yield parts


def _save_in_the_end(stack: AsyncExitStack, parts: Parts) -> None:
    # Last in, first out: what the runs have grown by is saved before they are stopped.
    stack.push_async_callback(parts.engine.close)
    stack.push_async_callback(parts.checkpoints.save)
    stack.push_async_callback(parts.housekeeping.close)


def _watch(engine: Engine, metrics: Metrics) -> None:
    metrics.watch_generations(engine.counts)
    metrics.watch_queue(partial(_lanes, engine))
    metrics.watch_slots(lambda: engine.slots_taken)


async def _open_backplane(stack: AsyncExitStack, settings: Settings) -> RedisBackplane | None:
    url = settings.store.redis_url
    if not url:
        return None
    await check_redis(url)
    lives = Lifetimes(running=settings.generation.max_duration_s, ended=settings.generation.keep_finished_s)
    return await stack.enter_async_context(RedisBackplane.open_at(url, lives))


def _sharing(
    redis: RedisBackplane | None,
    *,
    peers: Peers,
    membership: Membership,
    probing: Probing,
    watchers: Watchers,
    store: Store,
) -> dict[str, Callable[[], Coroutine[None, None, None]]]:
    if redis is None:
        return {}
    return {
        "backplane": redis.run,
        "peers": peers.run,
        "membership": membership.run,
        "templates": probing.run,
        "watchers": lambda: watchers.compare(store.conversations.numbers, _ROUND_S),
    }


async def _prepare(fleet: Fleet, measures: Measures) -> None:
    """Have the vocabulary of the model that answers most read before anybody asks."""
    with suppress(Unavailable):
        measures.at_hand(await fleet.default_model())


async def _open_fleet(stack: AsyncExitStack, settings: Settings, clock: Clock) -> Fleet:
    ollama = settings.ollama
    deadlines = Deadlines(
        connect=ollama.connect_timeout_s,
        first_token=ollama.first_token_timeout_s,
        between_tokens=ollama.stall_timeout_s,
    )
    clients = [await stack.enter_async_context(OllamaClient(address, deadlines)) for address in ollama.urls]
    return Fleet(clients, ollama.model, clock.now)


def _lanes(engine: Engine) -> dict[str, LaneFigures]:
    return {lane: LaneFigures(depth, age) for lane, (depth, age) in engine.lanes().items()}
