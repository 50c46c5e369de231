"""Puts the parts together: what settings name is opened, the rest made of it, and all closed in the end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from chatserver.app.engine import make_engine, make_housekeeping, make_membership, make_prompts
from chatserver.app.parts import ROUND_S, Parts
from chatserver.app.store import Store, lock_server, open_store
from chatserver.backplane.memory import MemoryBackplane
from chatserver.backplane.port import Backplane
from chatserver.backplane.redis.backplane import Lifetimes, RedisBackplane
from chatserver.backplane.redis.start import check_redis
from chatserver.chat.watching import Watchers
from chatserver.context.measures import Measures
from chatserver.context.vocabulary_files import VocabularyFiles
from chatserver.engine.checkpoints import Checkpoints
from chatserver.engine.engine import Engine
from chatserver.engine.patience import Patience
from chatserver.engine.peers import Peers
from chatserver.engine.probing import Probing
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

#: Seconds between two steps in which instances share what is new.
_TICK_S = 0.006


@dataclass(frozen=True)
class _Opened:
    """What is opened and closed, and so what everything else is made of."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    #: None for an instance that is alone.
    redis: RedisBackplane | None
    backplane: Backplane
    watchers: Watchers
    #: Signs cookies and tickets.
    secret: bytes
    serving_lock: ServingLock | None
    store: Store
    fleet: Fleet
    measures: Measures


@asynccontextmanager
async def assemble(settings: Settings) -> AsyncIterator[Parts]:
    """Open everything, and close it all in the end."""
    async with AsyncExitStack() as stack:
        opened = await _open(stack, settings)
        parts = _made_of(opened)
        if not parts.peers.alone:
            await parts.membership.join()
        _watch(parts.engine, parts.metrics)
        await parts.fleet.refresh()
        await _prepare(parts.fleet, opened.measures)
        _save_in_the_end(stack, parts)
        yield parts


async def _open(stack: AsyncExitStack, settings: Settings) -> _Opened:
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
    vocabularies = VocabularyFiles(folder.path / "vocabularies")
    return _Opened(
        settings=settings,
        clock=clock,
        metrics=metrics,
        redis=redis,
        backplane=backplane,
        watchers=watchers,
        secret=settings.server.secret.get_secret_value().encode() or folder.secret(),
        serving_lock=serving_lock,
        store=store,
        fleet=fleet,
        measures=await stack.enter_async_context(Measures(fleet, vocabularies, clock)),
    )


def _made_of(opened: _Opened) -> Parts:
    settings, store, fleet = opened.settings, opened.store, opened.fleet
    clock, metrics = opened.clock, opened.metrics
    instances = Instances(store.database)
    peers = Peers(opened.backplane, instances, store.generations, tick_s=_TICK_S, round_s=ROUND_S)
    prompts = make_prompts(settings, store, fleet, opened.measures)
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
    return Parts(
        settings=settings,
        secret=opened.secret,
        clock=clock,
        metrics=metrics,
        patience=patience,
        watchers=opened.watchers,
        readers=readers,
        store=store,
        fleet=fleet,
        prompts=prompts,
        peers=peers,
        engine=engine,
        housekeeping=make_housekeeping(
            settings, store, prompts=prompts, engine=engine, clock=clock, metrics=metrics
        ),
        templates=templates,
        probing=Probing(templates, engine, prompts),
        checkpoints=Checkpoints(engine.jobs, store.writer, settings.store.checkpoint_ms / 1000),
        membership=make_membership(
            settings, store, readers, peers=peers, instances=instances, engine=engine, clock=clock
        ),
        serving_lock=opened.serving_lock,
        redis=opened.redis,
    )


async def _open_backplane(stack: AsyncExitStack, settings: Settings) -> RedisBackplane | None:
    url = settings.store.redis_url
    if not url:
        return None
    await check_redis(url)
    lives = Lifetimes(running=settings.generation.max_duration_s, ended=settings.generation.keep_finished_s)
    return await stack.enter_async_context(RedisBackplane.open_at(url, lives))


async def _open_fleet(stack: AsyncExitStack, settings: Settings, clock: Clock) -> Fleet:
    ollama = settings.ollama
    deadlines = Deadlines(
        connect=ollama.connect_timeout_s,
        first_token=ollama.first_token_timeout_s,
        between_tokens=ollama.stall_timeout_s,
    )
    clients = [await stack.enter_async_context(OllamaClient(address, deadlines)) for address in ollama.urls]
    return Fleet(clients, ollama.model, clock.now)


async def _prepare(fleet: Fleet, measures: Measures) -> None:
    """Have the vocabulary of the model that answers most read before anybody asks."""
    with suppress(Unavailable):
        measures.at_hand(await fleet.default_model())


def _watch(engine: Engine, metrics: Metrics) -> None:
    metrics.watch_generations(engine.counts)
    metrics.watch_queue(partial(_lanes, engine))
    metrics.watch_slots(lambda: engine.slots_taken)


def _lanes(engine: Engine) -> dict[str, LaneFigures]:
    return {lane: LaneFigures(depth, age) for lane, (depth, age) in engine.lanes().items()}


def _save_in_the_end(stack: AsyncExitStack, parts: Parts) -> None:
    # Last in, first out: what the runs have grown by is saved before they are stopped.
    stack.push_async_callback(parts.engine.close)
    stack.push_async_callback(parts.checkpoints.save)
    stack.push_async_callback(parts.housekeeping.close)
