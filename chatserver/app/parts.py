"""The parts that are opened, run and closed: settings become a store, model servers and an engine."""

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from chatserver.backplane.memory import MemoryBackplane
from chatserver.backplane.redis.backplane import Lifetimes, RedisBackplane
from chatserver.backplane.redis.start import check_redis
from chatserver.backplane.redis.windows import Windows
from chatserver.chat.watching import Watchers
from chatserver.context.measures import Measures
from chatserver.context.vocabulary_files import VocabularyFiles
from chatserver.engine.attempts import Attempts
from chatserver.engine.checkpoints import Checkpoints
from chatserver.engine.chores import Chores
from chatserver.engine.endings import Endings
from chatserver.engine.engine import Engine
from chatserver.engine.housekeeping import Errand, Housekeeping
from chatserver.engine.membership import Membership
from chatserver.engine.patience import Patience, PatientWriter
from chatserver.engine.peers import Peers
from chatserver.engine.probing import Probing
from chatserver.engine.prompts import Prompts
from chatserver.engine.queue import FirstCome
from chatserver.engine.recovery import recover, take_in
from chatserver.engine.runner import Runner
from chatserver.engine.shelf import Shelf
from chatserver.engine.slots import Slots
from chatserver.engine.summaries import Summarise
from chatserver.engine.templates import Templates
from chatserver.engine.titles import Entitle
from chatserver.errors import Unavailable
from chatserver.generation.clock import Clock, SystemClock
from chatserver.settings import Settings
from chatserver.storage.conversations import Conversations
from chatserver.storage.database import Database
from chatserver.storage.exporting import Exports
from chatserver.storage.folder import DataFolder
from chatserver.storage.generations import Generations
from chatserver.storage.housekeeping import ForgetLeftHousekeeping
from chatserver.storage.instances import Instances
from chatserver.storage.keys import Repeats
from chatserver.storage.messages import Messages
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.postgresql import is_server
from chatserver.storage.probes import Probes
from chatserver.storage.serving_lock import ServingLock
from chatserver.storage.summaries import Summaries
from chatserver.storage.writer import Writer, WriterOptions
from chatserver.telemetry.metrics import Lane, Metrics
from chatserver.transports.readers import Readers
from chatserver.upstream.client import Deadlines, OllamaClient
from chatserver.upstream.fleet import Fleet

#: Seconds between two steps in which instances share what is new, and between two looks at what was missed.
_TICK_S = 0.005
_ROUND_S = 2.0


@dataclass(frozen=True)
class Store:
    database: Database
    writer: Writer
    conversations: Conversations
    messages: Messages
    generations: Generations
    summaries: Summaries
    exports: Exports
    repeats: Repeats


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
    windows: Windows | None
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
        serving_lock = await _lock_server(stack, settings) if backplane.alone else None
        store = await _open_store(stack, settings, folder, metrics, watchers)
        fleet = await _open_fleet(stack, settings, clock)
        measures = await stack.enter_async_context(
            Measures(fleet, VocabularyFiles(folder.path / "vocabularies"), clock)
        )
        prompts = _make_prompts(settings, store, fleet, measures)
        instances = Instances(store.database)
        peers = Peers(backplane, instances, store.generations, tick_s=_TICK_S, round_s=_ROUND_S)
        templates = Templates(fleet, Probes(store.database), store.writer, clock)
        parts = Parts(
            settings=settings,
            secret=settings.server.secret.get_secret_value().encode() or folder.secret(),
            clock=clock,
            metrics=metrics,
            patience=(patience := Patience(clock)),
            watchers=watchers,
            readers=(readers := Readers(settings.limits.connections, metrics)),
            store=store,
            fleet=fleet,
            prompts=prompts,
            serving_lock=serving_lock,
            peers=peers,
            engine=(
                engine := _make_engine(
                    settings, store, prompts, peers, clock, metrics, patience=patience, templates=templates
                )
            ),
            housekeeping=(
                housekeeping := _make_housekeeping(
                    settings, store, prompts=prompts, engine=engine, clock=clock, metrics=metrics
                )
            ),
            templates=templates,
            probing=(probing := Probing(templates, engine, prompts)),
            checkpoints=Checkpoints(engine.jobs, store.writer, settings.store.checkpoint_ms / 1000),
            membership=(
                membership := _make_membership(
                    settings, store, readers, peers=peers, instances=instances, engine=engine, clock=clock
                )
            ),
            windows=redis.windows if redis else None,
            sharing=_sharing(
                redis, peers=peers, membership=membership, probing=probing, watchers=watchers, store=store
            ),
        )
        if not peers.alone:
            await parts.membership.join()
        _watch(engine, metrics)
        await fleet.refresh()
        await _prepare(fleet, measures)
        # Last in, first out: what the runs have grown by is saved before they are stopped.
        stack.push_async_callback(engine.close)
        stack.push_async_callback(parts.checkpoints.save)
        stack.push_async_callback(housekeeping.close)
        yield parts


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


async def _lock_server(stack: AsyncExitStack, settings: Settings) -> ServingLock | None:
    address = settings.store.database_url
    if not is_server(address):
        return None
    return await stack.enter_async_context(ServingLock(address, DatabaseOptions(), settings.server.grace_s))


async def _prepare(fleet: Fleet, measures: Measures) -> None:
    """Have the vocabulary of the model that answers most read before anybody asks."""
    with suppress(Unavailable):
        measures.at_hand(await fleet.default_model())


async def _open_store(
    stack: AsyncExitStack, settings: Settings, folder: DataFolder, metrics: Metrics, watchers: Watchers
) -> Store:
    database = await stack.enter_async_context(
        Database.open(
            settings.store.database_url or folder.database, DatabaseOptions(readers=settings.store.readers)
        )
    )
    writer = await stack.enter_async_context(
        Writer(
            database,
            WriterOptions(max_group=settings.store.group_commit_max),
            on_commit=watchers.announce,
            observe=metrics.committed,
        )
    )
    # Nobody waits for it any more.
    await writer.submit(ForgetLeftHousekeeping())
    return Store(
        database,
        writer,
        Conversations(database),
        Messages(database),
        Generations(database),
        Summaries(database),
        Exports(database),
        Repeats(database),
    )


async def _open_fleet(stack: AsyncExitStack, settings: Settings, clock: Clock) -> Fleet:
    ollama = settings.ollama
    deadlines = Deadlines(
        connect=ollama.connect_timeout_s,
        first_token=ollama.first_token_timeout_s,
        between_tokens=ollama.stall_timeout_s,
    )
    clients = [await stack.enter_async_context(OllamaClient(address, deadlines)) for address in ollama.urls]
    return Fleet(clients, ollama.model, clock.now)


def _make_engine(  # noqa: PLR0917 - the parts it is made of
    settings: Settings,
    store: Store,
    prompts: Prompts,
    peers: Peers,
    clock: Clock,
    metrics: Metrics,
    *,
    patience: Patience,
    templates: Templates,
) -> Engine:
    generation, fleet = settings.generation, prompts.fleet
    slots = Slots(settings.ollama.slots, fleet.hosts)
    shelf = Shelf(generation.keep_finished_s, generation.keep_finished_bytes)
    metrics.watch_finished_logs(lambda: shelf.size)

    def make_runner(engine: Engine) -> Runner:
        writer = PatientWriter(store.writer, patience)
        return Runner(
            peers=peers,
            attempts=Attempts(
                prompts=prompts,
                templates=templates,
                fleet=fleet,
                slots=slots,
                writer=writer,
                clock=clock,
                metrics=metrics,
                patience=patience,
                options=generation,
                slot_for=engine.slot_for,
                give_back=engine.give_back,
            ),
            endings=Endings(prompts, peers, writer, clock, metrics, generation.attempts),
            writer=writer,
            generations=store.generations,
            clock=clock,
            patience=patience,
            owner=f"inst_{secrets.token_hex(8)}",
            give_back=engine.give_back,
        )

    return Engine(
        order=FirstCome(),
        slots=slots,
        shelf=shelf,
        peers=peers,
        clock=clock,
        most_waiting=settings.limits.waiting,
        most_each=settings.limits.outstanding_per_user,
        make_runner=make_runner,
    )


def _make_prompts(settings: Settings, store: Store, fleet: Fleet, measures: Measures) -> Prompts:
    return Prompts(
        fleet=fleet,
        measures=measures,
        messages=store.messages,
        summaries=store.summaries,
        ollama=settings.ollama,
        generation=settings.generation,
        context=settings.context,
    )


def _make_membership(
    settings: Settings,
    store: Store,
    readers: Readers,
    *,
    peers: Peers,
    instances: Instances,
    engine: Engine,
    clock: Clock,
) -> Membership:
    return Membership(
        lease_s=settings.store.lease_s,
        peers=peers,
        instances=instances,
        writer=store.writer,
        clock=clock,
        engine=engine,
        generations=store.generations,
        take_in=partial(take_in, engine=engine, most_attempts=settings.generation.attempts),
        connections=readers.__len__,
    )


def _make_housekeeping(
    settings: Settings, store: Store, *, prompts: Prompts, engine: Engine, clock: Clock, metrics: Metrics
) -> Housekeeping:
    options = settings.housekeeping
    chores = Chores(engine, store.writer, clock)
    errands: list[Errand] = []
    if options.titles:
        errands.append(Entitle(chores, store.conversations, store.messages, metrics))
    if options.summaries:
        errands.append(Summarise(chores, prompts, store.summaries, metrics, options))
    housekeeping = Housekeeping(chores, errands, options.waiting)
    engine.on_done = housekeeping.done
    return housekeeping


def _lanes(engine: Engine) -> dict[str, Lane]:
    return {lane: Lane(depth, age) for lane, (depth, age) in engine.lanes().items()}
