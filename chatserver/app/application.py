"""The application: what can be called, made of the parts."""

from collections.abc import Iterable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import WebSocketRoute

from chatserver.access.frontier import KnownHosts, SecurityHeaders
from chatserver.access.hosts import Hosts
from chatserver.api.context import ContextCalls
from chatserver.api.conversations import ConversationCalls
from chatserver.api.docs import Handbook
from chatserver.api.entrance import EntranceCalls
from chatserver.api.export import ExportCalls
from chatserver.api.generations import GenerationCalls
from chatserver.api.library import Library
from chatserver.api.messages import MessageCalls
from chatserver.api.operating import Check, GiveFigures, OperatingCalls
from chatserver.api.operation import Operation
from chatserver.api.outbound import Limits, PartHealth
from chatserver.api.page import ChatPage
from chatserver.api.problems import PROBLEM_HANDLERS, Problems, RequestId
from chatserver.api.reference import WEBSOCKET_PATH, api_of
from chatserver.api.streams import Streams
from chatserver.app.middleware import CountRequests
from chatserver.app.parts import Parts
from chatserver.app.services import Services, make_services
from chatserver.errors import StoreUnavailable
from chatserver.settings import LimitSettings
from chatserver.transports.websocket import WebSockets

_PREFLIGHT_KEPT_S = 3600


def build_application(parts: Parts, figures: GiveFigures | None = None) -> Starlette:
    services = make_services(parts)
    told = _told(parts.settings.limits)
    return _around(_operations(parts, services, told, figures), _websockets(parts, services, told), parts)


def _operations(
    parts: Parts, services: Services, told: Limits, figures: GiveFigures | None
) -> list[Operation[Any, Any, Any]]:
    limits, gate = parts.settings.limits, services.gate
    streams = Streams(gate, services.sources, parts.readers, parts.settings.streams)
    conversing, work, again = services.conversing, services.work, services.again
    return [
        *ConversationCalls(gate, conversing, services.changing).operations(),
        *ContextCalls(gate, services.remembering).operations(),
        *ExportCalls(gate, services.exporting).operations(),
        *MessageCalls(gate, conversing, again, streams, limits.turn_bytes).operations(),
        *GenerationCalls(gate, work, again, streams, limits.generation_bytes).operations(),
        *streams.operations(),
        *EntranceCalls(gate, parts.fleet, work, conversing, ChatPage.find(), told).operations(),
        *Library.find().operations(),
        *OperatingCalls(figures or parts.metrics.figures, _checks(parts)).operations(),
    ]


def _websockets(parts: Parts, services: Services, told: Limits) -> WebSockets:
    return WebSockets(
        hosts=Hosts(parts.settings.server.public_origins),
        gate=services.gate,
        conversing=services.conversing,
        work=services.work,
        sources=services.sources,
        readers=parts.readers,
        metrics=parts.metrics,
        heartbeat=parts.settings.streams.websocket_heartbeat_s,
        most_subscriptions=parts.settings.limits.subscriptions_per_connection,
        limits=told.model_dump(),
    )


def _around(
    operations: Iterable[Operation[Any, Any, Any]], websockets: WebSockets, parts: Parts
) -> Starlette:
    api = api_of(operations, parts.settings.limits.body_timeout_s)
    app = Starlette(
        routes=[*Handbook(api).routes, WebSocketRoute(WEBSOCKET_PATH, websockets.serve)],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(RequestId),
            Middleware(CountRequests, metrics=parts.metrics),
            *_cors(parts.settings.server.public_origins),
            Middleware(Problems),
            Middleware(KnownHosts, hosts=Hosts(parts.settings.server.public_origins)),
        ],
        exception_handlers=PROBLEM_HANDLERS,
    )
    # A redirect would be built from the Host header.
    app.router.redirect_slashes = False
    return app


def _cors(origins: Sequence[str]) -> list[Middleware]:
    """Let pages elsewhere call; outside of Problems, so that they can also read what was wrong."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "If-Match",
                "If-None-Match",
                "Last-Event-ID",
                "X-Request-ID",
            ],
            expose_headers=[
                "ETag",
                "RateLimit-Limit",
                "RateLimit-Remaining",
                "RateLimit-Reset",
                "Retry-After",
                "X-Request-ID",
            ],
            max_age=_PREFLIGHT_KEPT_S,
        )
    ]


def _told(limits: LimitSettings) -> Limits:
    return Limits(
        content_characters=limits.content_characters,
        message_bytes=limits.message_bytes,
        messages_per_minute=limits.messages_per_minute,
        subscriptions=limits.subscriptions_per_connection,
    )


def _checks(parts: Parts) -> dict[str, Check]:
    async def work() -> PartHealth:
        draining = parts.engine.draining
        return PartHealth(ok=not draining, detail="draining" if draining else "accepting")

    async def store() -> PartHealth:
        try:
            await parts.store.database.check()
        except StoreUnavailable as error:
            return PartHealth(ok=False, detail=error.detail)
        return PartHealth(ok=True, detail="readable")

    async def backplane() -> PartHealth:
        # Answers go on without it where they run, so this doesn't make the process unready.
        if parts.peers.alone:
            return PartHealth(ok=True, detail="alone")
        if not parts.peers.connected:
            return PartHealth(ok=True, detail="away: answers are only read where they are made")
        living = parts.membership.living
        said = f"connected; {living.instances} instances with {living.connections} connections"
        return PartHealth(ok=True, detail=said)

    async def model_servers() -> PartHealth:
        # Work is accepted while no model server answers, so this doesn't make the process unready.
        fleet = parts.fleet
        return PartHealth(ok=True, detail=f"{fleet.answering} of {len(fleet.clients)} answer")

    return {"work": work, "store": store, "backplane": backplane, "model_servers": model_servers}
