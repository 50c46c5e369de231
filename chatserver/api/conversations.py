"""Conversations: begin, list, look at, change and delete them."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.responses import Response

from chatserver.access.gate import Gate
from chatserver.api.inbound import ChangedConversation, ConversationPage, NewConversation, OfOne
from chatserver.api.operation import Answer, AnyOperation, Call, Nothing, Operation
from chatserver.api.outbound import ConversationList
from chatserver.api.streams import accepted_response
from chatserver.api.tags import expected, is_known, tagged, unchanged
from chatserver.chat.changing import Changing
from chatserver.chat.conversing import Conversing
from chatserver.chat.resources import ConversationResource
from chatserver.errors import TooMany, Unavailable
from chatserver.storage.records import Conversation

TAG = "Conversations"
_ALL = "/api/v1/conversations"
_ONE = "/api/v1/conversations/{id}"


@dataclass(frozen=True)
class ConversationCalls:
    gate: Gate
    conversing: Conversing
    changing: Changing

    def operations(self) -> Iterable[AnyOperation]:
        return (
            self._creating(),
            self._listing(),
            self._looking(),
            self._changing(),
            self._deleting(),
        )

    def _creating(self) -> AnyOperation:
        return Operation(
            method="POST",
            path=_ALL,
            name="create_conversation",
            tag=TAG,
            summary="Begin a conversation",
            handler=self.create,
            body=NewConversation,
            body_example={"title": "Travel plans"},
            idempotent=True,
            answers=(Answer(description="It is there.", status=201, model=ConversationResource),),
            errors=(TooMany, Unavailable),
        )

    async def create(self, call: Call[Nothing, Nothing, NewConversation]) -> Response:
        caller, body = self.gate.caller(call.request), call.body
        return accepted_response(
            await self.conversing.create(
                caller, body.title, body.model, body.system, key=call.idempotency_key
            )
        )

    def _listing(self) -> AnyOperation:
        return Operation(
            method="GET",
            path=_ALL,
            name="list_conversations",
            tag=TAG,
            summary="List or search your conversations, last active first",
            handler=self.list,
            query=ConversationPage,
            answers=(Answer(description="A page.", model=ConversationList),),
        )

    async def list(self, call: Call[Nothing, ConversationPage, Nothing]) -> ConversationList:
        principal = self.gate.principal(call.request)
        query = call.query
        page = await self.conversing.page(principal, query.limit, query.cursor, query.q)
        return ConversationList(items=[*map(ConversationResource.of, page.items)], next_cursor=page.next)

    def _looking(self) -> AnyOperation:
        return Operation(
            method="GET",
            path=_ONE,
            name="get_conversation",
            tag=TAG,
            summary="Look at a conversation",
            handler=self.get,
            path_model=OfOne,
            tagged=True,
            answers=(Answer(description="As it is now.", model=ConversationResource),),
        )

    async def get(self, call: Call[OfOne, Nothing, Nothing]) -> Response:
        principal = self.gate.principal(call.request)
        found = await self.conversing.get(principal, call.path.id)
        return unchanged(found.change) if is_known(call.request.headers, found.change) else _shown(found)

    def _changing(self) -> AnyOperation:
        return Operation(
            method="PATCH",
            path=_ONE,
            name="change_conversation",
            tag=TAG,
            summary="Change a conversation's title, model, system prompt or current leaf",
            description="What isn't named stays. A title set here is never overwritten by an automatic one; "
            "null takes it away, and leaves it to the server again. Null for `model` stands for the server's "
            "default, for `system` for none. A change that changes nothing is told to nobody.",
            handler=self.change,
            path_model=OfOne,
            body=ChangedConversation,
            body_example={"title": "Travel plans", "system": None},
            tagged=True,
            answers=(Answer(description="As it is now.", model=ConversationResource),),
            errors=(Unavailable,),
        )

    async def change(self, call: Call[OfOne, Nothing, ChangedConversation]) -> Response:
        principal, version = self.gate.principal(call.request), expected(call.request.headers)
        return _shown(await self.changing.change(principal, call.path.id, call.body.changes(), version))

    def _deleting(self) -> AnyOperation:
        return Operation(
            method="DELETE",
            path=_ONE,
            name="delete_conversation",
            tag=TAG,
            summary="Delete a conversation with all that hangs on it",
            description="Answers that are queued or being made end as cancelled, and their readers are told; "
            "who watches the conversation gets `deleted`. Afterwards none of it is there any more, and a "
            "second deletion finds nothing.",
            handler=self.delete,
            path_model=OfOne,
            answers=(Answer(description="It is gone.", status=204),),
            errors=(Unavailable,),
        )

    async def delete(self, call: Call[OfOne, Nothing, Nothing]) -> Response:
        await self.changing.delete(self.gate.principal(call.request), call.path.id)
        return Response(status_code=204)


def _shown(conversation: Conversation) -> Response:
    return tagged(ConversationResource.of(conversation), conversation.change)
