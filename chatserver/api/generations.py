"""Generations: work handed in without a conversation, and every answer on its way."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from chatserver.access.gate import Gate
from chatserver.api.conversations import accepted_response
from chatserver.api.inbound import GenerationPage, NewGeneration, OfOne
from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.api.outbound import AcceptedWork, GenerationList
from chatserver.api.streams import EVENT_STREAM, Streams, wants_events
from chatserver.chat.resources import GenerationResource
from chatserver.chat.work import HandedIn, Work
from chatserver.errors import ContextTooLong, Unavailable

TAG = "Generations"


@dataclass(frozen=True)
class GenerationCalls:
    gate: Gate
    work: Work
    streams: Streams
    #: Bytes that work may have, with its images.
    generation_bytes: int

    def operations(self) -> Iterable[Operation[Any, Any, Any]]:
        yield Operation[Nothing, Nothing, NewGeneration](
            method="POST",
            path="/api/v1/generations",
            name="create_generation",
            tag=TAG,
            summary="Hand in work for a model",
            description="On disk before this is answered; fetch the result later, or follow it. With "
            "`Accept: text/event-stream` the answer is the stream itself: first the event `accepted`.",
            handler=self.create,
            body=NewGeneration,
            body_example={"prompt": "Name three rivers.", "priority": "background"},
            body_limit=self.generation_bytes,
            body_setting="generation_bytes",
            idempotent=True,
            answers=(
                Answer(description="It is accepted.", status=202, model=AcceptedWork),
                Answer(
                    description="The stream, where it was asked for.",
                    media_type=EVENT_STREAM,
                    example='event: accepted\ndata: {"generation":{}}\n\n',
                ),
            ),
            errors=(ContextTooLong, Unavailable),
        )
        yield Operation[Nothing, GenerationPage, Nothing](
            method="GET",
            path="/api/v1/generations",
            name="list_generations",
            tag=TAG,
            summary="List your generations, newest first",
            handler=self.list,
            query=GenerationPage,
            answers=(Answer(description="A page.", model=GenerationList),),
        )
        yield Operation[OfOne, Nothing, Nothing](
            method="GET",
            path="/api/v1/generations/{id}",
            name="get_generation",
            tag=TAG,
            summary="Look at a generation, with its text so far",
            handler=self.get,
            path_model=OfOne,
            answers=(Answer(description="As it is now.", model=GenerationResource),),
        )
        yield Operation[OfOne, Nothing, Nothing](
            method="POST",
            path="/api/v1/generations/{id}/cancel",
            name="cancel_generation",
            tag=TAG,
            summary="Stop a generation",
            description="Noted on disk before this is answered; the model is stopped at once. Doing it "
            "again, or after the end, changes nothing.",
            handler=self.cancel,
            path_model=OfOne,
            answers=(Answer(description="It ends.", status=202, model=GenerationResource),),
            errors=(Unavailable,),
        )

    async def create(self, call: Call[Nothing, Nothing, NewGeneration]) -> Response:
        caller, body = self.gate.caller(call.request), call.body
        self.streams.check_room(call.request)
        work = HandedIn(
            request=body.request(),
            model=body.model,
            lane=body.priority,
            metadata=body.metadata,
            expires_in_s=body.expires_in,
        )
        receipt = await self.work.hand_in(caller, work, call.idempotency_key)
        if wants_events(call.request):
            return await self.streams.after_accepting(caller.principal, receipt)
        return accepted_response(receipt)

    async def list(self, call: Call[Nothing, GenerationPage, Nothing]) -> GenerationList:
        principal, query = self.gate.principal(call.request), call.query
        page = await self.work.page(principal, query.status, query.limit, query.cursor)
        return GenerationList(items=[*map(self.work.shown, page.items)], next_cursor=page.next)

    async def get(self, call: Call[OfOne, Nothing, Nothing]) -> GenerationResource:
        return await self.work.get(self.gate.principal(call.request), call.path.id)

    async def cancel(self, call: Call[OfOne, Nothing, Nothing]) -> GenerationResource:
        return await self.work.cancel(self.gate.principal(call.request), call.path.id)
