"""Generations: work handed in without a conversation, and every answer on its way."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.responses import Response

from chatserver.access.gate import Gate
from chatserver.api.inbound import GenerationPage, NewGeneration, OfOne
from chatserver.api.operation import Answer, AnyOperation, Call, Nothing, Operation
from chatserver.api.outbound import AcceptedGeneration, GenerationList
from chatserver.api.streams import Streams, accepted_response, answered_by_stream
from chatserver.chat.again import Again
from chatserver.chat.resources import GenerationResource
from chatserver.chat.work import HandedIn, Work
from chatserver.errors import ContextTooLong, NotFailed, TooMany, TurnInProgress, Unavailable

TAG = "Generations"
_ALL = "/api/v1/generations"
_ONE = "/api/v1/generations/{id}"


@dataclass(frozen=True)
class GenerationCalls:
    gate: Gate
    work: Work
    again: Again
    streams: Streams
    #: Bytes that work may have, with its images.
    generation_bytes: int

    def operations(self) -> Iterable[AnyOperation]:
        return self._creating(), self._listing(), self._looking(), self._cancelling(), self._retrying()

    def _creating(self) -> AnyOperation:
        return Operation(
            method="POST",
            path=_ALL,
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
                Answer(description="It is accepted.", status=202, model=AcceptedGeneration),
                answered_by_stream('{"generation":{}}'),
            ),
            errors=(ContextTooLong, TooMany, Unavailable),
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
        return await self.streams.or_receipt(call.request, caller.principal, receipt)

    def _listing(self) -> AnyOperation:
        return Operation(
            method="GET",
            path=_ALL,
            name="list_generations",
            tag=TAG,
            summary="List your generations, newest first",
            handler=self.list,
            query=GenerationPage,
            answers=(Answer(description="A page.", model=GenerationList),),
        )

    async def list(self, call: Call[Nothing, GenerationPage, Nothing]) -> GenerationList:
        principal, query = self.gate.principal(call.request), call.query
        page = await self.work.page(principal, query.status, query.limit, query.cursor)
        return GenerationList(items=[*map(self.work.shown, page.items)], next_cursor=page.next)

    def _looking(self) -> AnyOperation:
        return Operation(
            method="GET",
            path=_ONE,
            name="get_generation",
            tag=TAG,
            summary="Look at a generation, with its text so far",
            handler=self.get,
            path_model=OfOne,
            answers=(Answer(description="As it is now.", model=GenerationResource),),
        )

    async def get(self, call: Call[OfOne, Nothing, Nothing]) -> GenerationResource:
        return await self.work.get(self.gate.principal(call.request), call.path.id)

    def _cancelling(self) -> AnyOperation:
        return Operation(
            method="POST",
            path=f"{_ONE}/cancel",
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

    async def cancel(self, call: Call[OfOne, Nothing, Nothing]) -> GenerationResource:
        return await self.work.cancel(self.gate.principal(call.request), call.path.id)

    def _retrying(self) -> AnyOperation:
        return Operation(
            method="POST",
            path=f"{_ONE}/retry",
            name="retry_generation",
            tag=TAG,
            summary="Have made again what failed",
            description="A new generation whose `retry_of` names this one: the same work once more, or, in a "
            "conversation, another answer beside the one that failed.",
            handler=self.retry,
            path_model=OfOne,
            idempotent=True,
            answers=(Answer(description="It is accepted.", status=202, model=AcceptedGeneration),),
            errors=(NotFailed, TurnInProgress, TooMany, Unavailable),
        )

    async def retry(self, call: Call[OfOne, Nothing, Nothing]) -> Response:
        caller = self.gate.caller(call.request)
        return accepted_response(await self.again.retry(caller, call.path.id, call.idempotency_key))
