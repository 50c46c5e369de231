"""The messages of a conversation: read them, send one, have an answer made anew."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.responses import Response

from chatserver.access.gate import Gate
from chatserver.api.inbound import AnotherAnswer, BranchPage, NewMessage, OfOne
from chatserver.api.operation import Answer, AnyOperation, Call, Nothing, Operation
from chatserver.api.outbound import AcceptedGeneration, AcceptedTurn, MessageList
from chatserver.api.streams import Streams, accepted_response, answered_by_stream
from chatserver.api.tags import is_known, tagged, unchanged
from chatserver.chat.again import Again
from chatserver.chat.conversing import Conversing, Turn
from chatserver.chat.resources import MessageResource
from chatserver.errors import NotFound, NothingToRegenerate, TooMany, TurnInProgress, Unavailable
from chatserver.storage.turns import Current

TAG = "Conversations"
_MESSAGES = "/api/v1/conversations/{id}/messages"


@dataclass(frozen=True)
class MessageCalls:
    gate: Gate
    conversing: Conversing
    again: Again
    streams: Streams
    #: Bytes a turn may have.
    turn_bytes: int

    def operations(self) -> Iterable[AnyOperation]:
        return self._reading(), self._sending(), self._regenerating()

    def _reading(self) -> AnyOperation:
        return Operation(
            method="GET",
            path=_MESSAGES,
            name="list_messages",
            tag=TAG,
            summary="Read a branch of a conversation, newest page first",
            handler=self.read,
            path_model=OfOne,
            query=BranchPage,
            tagged=True,
            answers=(Answer(description="A page, ascending.", model=MessageList),),
        )

    async def read(self, call: Call[OfOne, BranchPage, Nothing]) -> Response:
        principal, query = self.gate.principal(call.request), call.query
        # Before the messages: what changes between the two is told again, not missed.
        change = (await self.conversing.get(principal, call.path.id)).change
        if is_known(call.request.headers, change):
            return unchanged(change)
        page = await self.conversing.branch(principal, call.path.id, query.leaf, query.before, query.limit)
        items = [*map(MessageResource.of, page.items)]
        return tagged(MessageList(items=items, next_before=page.next, change=change), change)

    def _sending(self) -> AnyOperation:
        return Operation(
            method="POST",
            path=_MESSAGES,
            name="send_message",
            tag=TAG,
            summary="Send a message and have it answered",
            description="Both the message and its answer's generation are on disk before this is answered. "
            "To edit a message, send it anew with the parent of the one before. "
            "With `Accept: text/event-stream` the answer is the stream itself: first the event `accepted`.",
            handler=self.send,
            path_model=OfOne,
            body=NewMessage,
            body_example={"content": "What is a token?"},
            body_limit=self.turn_bytes,
            body_setting="turn_bytes",
            idempotent=True,
            answers=(
                Answer(description="It is accepted.", status=202, model=AcceptedTurn),
                answered_by_stream('{"message":{},"generation":{}}'),
            ),
            errors=(NotFound, TurnInProgress, TooMany, Unavailable),
        )

    async def send(self, call: Call[OfOne, Nothing, NewMessage]) -> Response:
        caller, body = self.gate.caller(call.request), call.body
        self.streams.check_room(call.request)
        turn = Turn(
            content=body.content,
            parent=body.parent if "parent" in body.model_fields_set else Current.LEAF,
            model=body.model,
            options=body.options.given() if body.options else None,
        )
        receipt = await self.conversing.send(caller, call.path.id, turn, call.idempotency_key)
        return await self.streams.or_receipt(call.request, caller.principal, receipt)

    def _regenerating(self) -> AnyOperation:
        return Operation(
            method="POST",
            path="/api/v1/conversations/{id}/regenerate",
            name="regenerate_answer",
            tag=TAG,
            summary="Have another answer made to the same question",
            description="It stands beside the answer that is named, by default the last one, and becomes the "
            "current leaf; the answers to one question are each other's `versions`. The conversation's model "
            "makes it, where it names one, else that of the answer before, with the same options. While one "
            "is still being made, none is made beside it.",
            handler=self.regenerate,
            path_model=OfOne,
            body=AnotherAnswer,
            body_example={"message": "msg_01kd3v8m7q4w9s2x5z8b1c"},
            idempotent=True,
            answers=(Answer(description="It is accepted.", status=202, model=AcceptedGeneration),),
            errors=(TurnInProgress, NothingToRegenerate, TooMany, Unavailable),
        )

    async def regenerate(self, call: Call[OfOne, Nothing, AnotherAnswer]) -> Response:
        caller = self.gate.caller(call.request)
        receipt = await self.again.regenerate(caller, call.path.id, call.body.message, call.idempotency_key)
        return accepted_response(receipt)
