"""Conversations and their messages."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from chatserver.access.gate import Gate
from chatserver.api.inbound import BranchPage, ConversationPage, NewConversation, NewMessage, OfOne
from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.api.outbound import AcceptedTurn, ConversationList, MessageList
from chatserver.api.streams import EVENT_STREAM, Streams, wants_events
from chatserver.chat.accepting import Receipt
from chatserver.chat.conversing import Conversing, Turn
from chatserver.chat.resources import ConversationResource, MessageResource
from chatserver.errors import NotFound, TurnInProgress, Unavailable
from chatserver.storage.turns import Current

TAG = "Conversations"


def accepted_response(receipt: Receipt) -> Response:
    return Response(receipt.body, status_code=receipt.status, media_type="application/json")


@dataclass(frozen=True)
class ConversationCalls:
    gate: Gate
    conversing: Conversing
    streams: Streams
    #: Bytes a turn may have.
    turn_bytes: int

    def operations(self) -> Iterable[Operation[Any, Any, Any]]:
        yield Operation[Nothing, Nothing, NewConversation](
            method="POST",
            path="/api/v1/conversations",
            name="create_conversation",
            tag=TAG,
            summary="Begin a conversation",
            handler=self.create,
            body=NewConversation,
            body_example={"title": "Travel plans"},
            idempotent=True,
            answers=(Answer(description="It is there.", status=201, model=ConversationResource),),
            errors=(Unavailable,),
        )
        yield Operation[Nothing, ConversationPage, Nothing](
            method="GET",
            path="/api/v1/conversations",
            name="list_conversations",
            tag=TAG,
            summary="List your conversations, last active first",
            handler=self.list,
            query=ConversationPage,
            answers=(Answer(description="A page.", model=ConversationList),),
        )
        yield Operation[OfOne, Nothing, Nothing](
            method="GET",
            path="/api/v1/conversations/{id}",
            name="get_conversation",
            tag=TAG,
            summary="Look at a conversation",
            handler=self.get,
            path_model=OfOne,
            answers=(Answer(description="As it is now.", model=ConversationResource),),
        )
        yield Operation[OfOne, BranchPage, Nothing](
            method="GET",
            path="/api/v1/conversations/{id}/messages",
            name="list_messages",
            tag=TAG,
            summary="Read a branch of a conversation, newest page first",
            handler=self.messages,
            path_model=OfOne,
            query=BranchPage,
            answers=(Answer(description="A page, ascending.", model=MessageList),),
        )
        yield Operation[OfOne, Nothing, NewMessage](
            method="POST",
            path="/api/v1/conversations/{id}/messages",
            name="send_message",
            tag=TAG,
            summary="Send a message and have it answered",
            description="Both the message and its answer's generation are on disk before this is answered. "
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
                Answer(
                    description="The stream, where it was asked for.",
                    media_type=EVENT_STREAM,
                    example='event: accepted\ndata: {"message":{},"generation":{}}\n\n',
                ),
            ),
            errors=(NotFound, TurnInProgress, Unavailable),
        )

    async def create(self, call: Call[Nothing, Nothing, NewConversation]) -> Response:
        principal, body = self.gate.principal(call.request), call.body
        return accepted_response(
            await self.conversing.create(
                principal, body.title, body.model, body.system, key=call.idempotency_key
            )
        )

    async def list(self, call: Call[Nothing, ConversationPage, Nothing]) -> ConversationList:
        principal = self.gate.principal(call.request)
        page = await self.conversing.page(principal, call.query.limit, call.query.cursor)
        return ConversationList(items=[*map(ConversationResource.of, page.items)], next_cursor=page.next)

    async def get(self, call: Call[OfOne, Nothing, Nothing]) -> ConversationResource:
        principal = self.gate.principal(call.request)
        return ConversationResource.of(await self.conversing.get(principal, call.path.id))

    async def messages(self, call: Call[OfOne, BranchPage, Nothing]) -> MessageList:
        principal, query = self.gate.principal(call.request), call.query
        page, change = await self.conversing.branch(
            principal, call.path.id, query.leaf, query.before, query.limit
        )
        return MessageList(items=[*map(MessageResource.of, page.items)], next_before=page.next, change=change)

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
        if wants_events(call.request):
            return await self.streams.after_accepting(caller.principal, receipt)
        return accepted_response(receipt)
