"""The engine and what works beside it, made of settings and the parts they need."""

import secrets
from functools import partial

from chatserver.app.store import Store
from chatserver.context.measures import Measures
from chatserver.engine.attempts import Attempts
from chatserver.engine.chores import Chores
from chatserver.engine.endings import Endings
from chatserver.engine.engine import Engine
from chatserver.engine.housekeeping import Errand, Housekeeping
from chatserver.engine.membership import Membership
from chatserver.engine.patience import Patience, PatientWriter
from chatserver.engine.peers import Peers
from chatserver.engine.prompts import Prompts
from chatserver.engine.queue import FirstCome
from chatserver.engine.recovery import take_in
from chatserver.engine.runner import Runner
from chatserver.engine.shelf import Shelf
from chatserver.engine.slots import Slots
from chatserver.engine.summaries import Summarise
from chatserver.engine.templates import Templates
from chatserver.engine.titles import Entitle
from chatserver.generation.clock import Clock
from chatserver.settings import Settings
from chatserver.storage.instances import Instances
from chatserver.telemetry.metrics import Metrics
from chatserver.transports.readers import Readers
from chatserver.upstream.fleet import Fleet


def make_prompts(settings: Settings, store: Store, fleet: Fleet, measures: Measures) -> Prompts:
    return Prompts(
        fleet=fleet,
        measures=measures,
        messages=store.messages,
        summaries=store.summaries,
        ollama=settings.ollama,
        generation=settings.generation,
        context=settings.context,
    )


def make_engine(
    settings: Settings,
    store: Store,
    *,
    prompts: Prompts,
    peers: Peers,
    clock: Clock,
    metrics: Metrics,
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


def make_membership(
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


def make_housekeeping(
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
