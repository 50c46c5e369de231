"""What a person or program can do here, made of the parts."""

from dataclasses import dataclass

from chatserver.access.allowance import Allowances
from chatserver.access.gate import Gate
from chatserver.access.tickets import Tickets
from chatserver.access.visitors import Visitors
from chatserver.app.parts import Parts
from chatserver.chat.accepting import Accepting
from chatserver.chat.again import Again
from chatserver.chat.allowing import Allowing
from chatserver.chat.changing import Changing
from chatserver.chat.choices import Choices
from chatserver.chat.conversing import Conversing
from chatserver.chat.exporting import Exporting
from chatserver.chat.remembering import Remembering
from chatserver.chat.work import Work
from chatserver.transports.sources import Sources


@dataclass(frozen=True)
class Services:
    gate: Gate
    conversing: Conversing
    changing: Changing
    work: Work
    again: Again
    remembering: Remembering
    exporting: Exporting
    #: What a connection follows.
    sources: Sources


def make_services(parts: Parts) -> Services:
    store = parts.store
    accepting = Accepting(
        engine=parts.engine,
        writer=store.writer,
        repeats=store.repeats,
        allowing=_allowing(parts),
        clock=parts.clock,
        metrics=parts.metrics,
    )
    work = _work(parts, accepting)
    return Services(
        gate=_gate(parts),
        conversing=_conversing(parts, accepting),
        changing=Changing(parts.engine, parts.peers, store.writer),
        work=work,
        again=Again(accepting, parts.fleet, store.conversations, store.generations, parts.clock),
        remembering=Remembering(
            parts.fleet, store.writer, store.conversations, store.summaries, parts.prompts, parts.clock
        ),
        exporting=Exporting(store.conversations, store.summaries, store.exports),
        sources=Sources(work, store.conversations, parts.watchers),
    )


def _gate(parts: Parts) -> Gate:
    return Gate(
        Visitors(parts.secret),
        Tickets(parts.secret, parts.clock),
        frozenset(parts.settings.server.public_origins),
    )


def _conversing(parts: Parts, accepting: Accepting) -> Conversing:
    store = parts.store
    return Conversing(
        accepting=accepting,
        fleet=parts.fleet,
        writer=store.writer,
        conversations=store.conversations,
        choices=Choices(store.conversations),
        messages=store.messages,
        prompts=parts.prompts,
        clock=parts.clock,
        most_characters=parts.settings.limits.content_characters,
    )


def _work(parts: Parts, accepting: Accepting) -> Work:
    return Work(
        accepting=accepting,
        engine=parts.engine,
        fleet=parts.fleet,
        prompts=parts.prompts,
        peers=parts.peers,
        writer=parts.store.writer,
        generations=parts.store.generations,
        clock=parts.clock,
    )


def _allowing(parts: Parts) -> Allowing:
    limits = parts.settings.limits
    return Allowing(
        Allowances(parts.clock, limits.messages_per_minute, limits.per_address_per_minute),
        parts.redis.windows if parts.redis else None,
        parts.store.generations,
        parts.engine.owner,
        lambda: parts.membership.living.instances,
        limits.outstanding_per_user,
    )
