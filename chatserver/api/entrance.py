"""What somebody needs before chatting: a ticket, the models, the page itself."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chatserver.access.gate import Gate
from chatserver.access.tickets import Grant, Ticket
from chatserver.access.visitors import LOCAL, set_cookie
from chatserver.api.inbound import NewTicket
from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.api.outbound import IssuedTicket, Limits, ModelList, OfferedModel
from chatserver.api.page import ChatPage
from chatserver.chat.conversing import Conversing
from chatserver.chat.work import Work
from chatserver.errors import NotFound, Unavailable
from chatserver.generation.principal import Principal
from chatserver.upstream.fleet import Fleet

TAG = "Entrance"


@dataclass(frozen=True)
class EntranceCalls:
    gate: Gate
    fleet: Fleet
    work: Work
    conversing: Conversing
    page: ChatPage
    limits: Limits

    def operations(self) -> Iterable[Operation[Any, Any, Any]]:
        yield Operation[Nothing, Nothing, NewTicket](
            method="POST",
            path="/api/v1/tickets",
            name="create_ticket",
            tag=TAG,
            summary="Get a ticket for a stream",
            description="For `?ticket=` where no header or cookie can be sent. It reads one generation or "
            "conversation for an hour, or opens a WebSocket within 30 seconds. A browser that isn't known "
            "yet becomes a user by the cookie that comes with it.",
            handler=self.ticket,
            body=NewTicket,
            body_example={"generation": "gen_01kd3v8m7q4w9s2x5z8b1c"},
            answers=(Answer(description="A ticket.", status=201, model=IssuedTicket),),
            errors=(NotFound,),
        )
        yield Operation[Nothing, Nothing, Nothing](
            method="GET",
            path="/api/v1/models",
            name="list_models",
            tag=TAG,
            summary="List the models of all model servers",
            handler=self.models,
            answers=(Answer(description="What answers here.", model=ModelList),),
        )
        yield from self.page.operations(self.welcome)

    async def ticket(self, call: Call[Nothing, Nothing, NewTicket]) -> Response:
        principal, cookie = self._known_or_welcome(call.request)
        ticket = await self._ticket(principal, call.body)
        text, seconds = self.gate.tickets.issue(ticket)
        return Response(
            IssuedTicket(ticket=text, expires_in=seconds).model_dump_json(),
            status_code=201,
            media_type="application/json",
            headers={"Cache-Control": "no-store", **cookie},
        )

    async def models(self, call: Call[Nothing, Nothing, Nothing]) -> ModelList:
        self.gate.principal(call.request)
        offered = [OfferedModel.model_validate(_shown(model)) for model in await self.fleet.models()]
        try:
            default = await self.fleet.default_model()
        except Unavailable:
            default = None
        return ModelList(items=offered, default=default, simulated=self.fleet.simulated, limits=self.limits)

    def welcome(self, request: Request) -> dict[str, str]:
        """Make the one who opens the page a user; the header that says so, for a stranger."""
        known = self.gate.visitors.known(request.headers.get("cookie", ""))
        return {} if known else self._welcome(request, elsewhere=False)[1]

    def _known_or_welcome(self, request: Request) -> tuple[Principal, dict[str, str]]:
        elsewhere = self.gate.check_origin(request)
        known = self.gate.visitors.known(request.headers.get("cookie", ""))
        if known is not None:
            return known, {}
        # A program has no use for a cookie: it is the local user.
        if "origin" not in request.headers:
            return LOCAL, {}
        return self._welcome(request, elsewhere=elsewhere)

    def _welcome(self, request: Request, *, elsewhere: bool) -> tuple[Principal, dict[str, str]]:
        principal, value = self.gate.visitors.welcome()
        secure = request.url.scheme == "https"
        return principal, {"Set-Cookie": set_cookie(value, secure=secure, elsewhere=elsewhere)}

    async def _ticket(self, principal: Principal, body: NewTicket) -> Ticket:
        if body.generation is not None:
            await self.work.feed(principal, body.generation)
            return Ticket(principal, Grant.GENERATION, body.generation)
        if body.conversation is not None:
            await self.conversing.get(principal, body.conversation)
            return Ticket(principal, Grant.CONVERSATION, body.conversation)
        return Ticket(principal, Grant.WEBSOCKET, "")


def _shown(model: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(model).items() if name != "digest"}
