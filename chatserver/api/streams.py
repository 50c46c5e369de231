"""The streams over HTTP: which way somebody reads, and from where."""

from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from chatserver.access.gate import Gate
from chatserver.access.tickets import Grant
from chatserver.api.frames import ConversationPoll, GenerationPoll
from chatserver.api.inbound import EventsQuery, OfOne
from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.chat.accepting import Receipt
from chatserver.errors import MalformedPosition, Unavailable
from chatserver.generation.position import START, Position
from chatserver.generation.principal import Principal
from chatserver.settings import StreamSettings
from chatserver.transports.longpoll import poll
from chatserver.transports.readers import Readers
from chatserver.transports.sources import Opener, Sources, change_number
from chatserver.transports.sse import EventStream
from chatserver.wire import sse

EVENT_STREAM = "text/event-stream"

_EVENTS_EXAMPLE = """\
event: hello
data: {"heartbeat":15}

id: 1.2
event: delta
data: {"type":"delta","generation":"gen_01kd…","id":"1.2","channel":"answer","text":"Hel"}

"""


def _events_answers(poll: type[BaseModel]) -> tuple[Answer, ...]:
    return (
        Answer(
            description="With `Accept: text/event-stream` events until the end.",
            media_type=EVENT_STREAM,
            example=_EVENTS_EXAMPLE,
        ),
        Answer(description="With any other a long-poll's answer.", model=poll),
        Answer(status=204, description="There is nothing after this position; an EventSource stops here."),
    )


def answered_by_stream(accepted: str) -> Answer:
    """Say how a POST is answered by the stream of what it began; `accepted` is its first event's data."""
    return Answer(
        description="The stream, where it was asked for.",
        media_type=EVENT_STREAM,
        example=f"event: accepted\ndata: {accepted}\n\n",
    )


def accepted_response(receipt: Receipt) -> Response:
    return Response(receipt.body, status_code=receipt.status, media_type="application/json")


def wants_events(request: Request) -> bool:
    return EVENT_STREAM in request.headers.get("accept", "").lower()


@dataclass(frozen=True)
class Streams:
    gate: Gate
    sources: Sources
    readers: Readers
    options: StreamSettings

    def operations(self) -> list[Operation[OfOne, EventsQuery, Nothing]]:
        follow = partial(
            Operation[OfOne, EventsQuery, Nothing],
            method="GET",
            tag="Streams",
            path_model=OfOne,
            query=EventsQuery,
            resumable=True,
            errors=(MalformedPosition, Unavailable),
        )
        return [
            follow(
                path="/api/v1/generations/{id}/events",
                name="follow_generation",
                summary="Follow a generation",
                description="Every way of reading carries the same frames. Give back the last position to go "
                "on from there: in `Last-Event-ID`, which wins, or in `after`.",
                handler=self.follow_generation,
                answers=_events_answers(GenerationPoll),
            ),
            follow(
                path="/api/v1/conversations/{id}/events",
                name="follow_conversation",
                summary="Follow the changes of a conversation",
                description="State, not history: each thing that changed, once, as it is now. Without a "
                "position it begins now, with a `conversation` frame that names it.",
                handler=self.follow_conversation,
                answers=_events_answers(ConversationPoll),
            ),
        ]

    async def follow_generation(self, call: Call[OfOne, EventsQuery, Nothing]) -> Response:
        principal = self.gate.reader(call.request, Grant.GENERATION, call.path.id)
        given = _given_position(call)
        after = START if given is None else Position.parse(given)
        opener = await self.sources.generation(principal, call.path.id, after)
        return await self._follow(call, opener, first=given is None)

    async def follow_conversation(self, call: Call[OfOne, EventsQuery, Nothing]) -> Response:
        principal = self.gate.reader(call.request, Grant.CONVERSATION, call.path.id)
        given = _given_position(call)
        after = None if given is None else change_number(given)
        opener = await self.sources.conversation(principal, call.path.id, after)
        return await self._follow(call, opener, first=given is None)

    def check_room(self, request: Request) -> None:
        """Refuse a request that asks for a stream where there is no room, before anything is stored."""
        if wants_events(request):
            self.readers.check_room()

    async def or_receipt(self, request: Request, principal: Principal, receipt: Receipt) -> Response:
        """Answer an accepted request: with the stream of its generation itself, where that was asked for."""
        if not wants_events(request):
            return accepted_response(receipt)
        opener = await self.sources.generation(principal, receipt.generation, START)
        return self._events(opener, sse.event("accepted", receipt.body))

    async def _follow(
        self, call: Call[OfOne, EventsQuery, Nothing], opener: Opener, *, first: bool
    ) -> Response:
        if not wants_events(call.request):
            wait = 0 if first else min(call.query.wait, self.options.longpoll_longest_s)
            return await poll(opener, wait, self.readers)
        if opener(lambda: None).ended:
            return Response(status_code=204)
        return self._events(opener)

    def _events(self, opener: Opener, prelude: bytes = b"") -> EventStream:
        return EventStream(
            opener,
            heartbeat=self.options.sse_heartbeat_s,
            readers=self.readers,
            prelude=prelude,
        )


def _given_position(call: Call[OfOne, EventsQuery, Nothing]) -> str | None:
    """Find the position a reader gives back; the header is the browser's own and newer than the address."""
    return call.request.headers.get("last-event-id") or call.query.after
