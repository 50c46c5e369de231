"""What the model sees of a conversation: look at it, and put its summary right."""

from collections.abc import Iterable
from dataclasses import dataclass

from chatserver.access.gate import Gate
from chatserver.api.inbound import NewSummary, OfOne
from chatserver.api.operation import Answer, AnyOperation, Call, Nothing, Operation
from chatserver.api.outbound import ConversationContext, ShownMessage
from chatserver.chat.remembering import Remembering
from chatserver.chat.resources import SummaryResource
from chatserver.errors import Unavailable

TAG = "Conversations"


@dataclass(frozen=True)
class ContextCalls:
    gate: Gate
    remembering: Remembering

    def operations(self) -> Iterable[AnyOperation]:
        return self._looking(), self._summarising()

    def _looking(self) -> AnyOperation:
        return Operation(
            method="GET",
            path="/api/v1/conversations/{id}/context",
            name="get_context",
            tag=TAG,
            summary="See what the model would see of a conversation now",
            description="Before a question of moderate complexity; each question decides anew how far it "
            "looks back. What an answer was made from stands in its generation's `context`.",
            handler=self.look,
            path_model=OfOne,
            answers=(Answer(description="As it would be now.", model=ConversationContext),),
            errors=(Unavailable,),
        )

    async def look(self, call: Call[OfOne, Nothing, Nothing]) -> ConversationContext:
        memory = await self.remembering.look(self.gate.principal(call.request), call.path.id)
        return ConversationContext(
            model=memory.model,
            messages=[
                ShownMessage(role=message["role"], content=message["content"])
                for message in memory.window.messages
            ],
            summary=SummaryResource.of(memory.summary) if memory.summary else None,
            report=memory.window.report.as_json(),
        )

    def _summarising(self) -> AnyOperation:
        return Operation(
            method="PUT",
            path="/api/v1/conversations/{id}/summary",
            name="set_summary",
            tag=TAG,
            summary="Say in your own words what the model is to remember",
            description="They take the place of the summary of the current branch and stand for the same "
            "messages; where there is none yet, for none. The next summary is made from them. One that is "
            "being made meanwhile is thrown away.",
            handler=self.put_right,
            path_model=OfOne,
            body=NewSummary,
            body_example={"text": "Ana plans a trip to Oslo in May; the budget is 1,200 euros."},
            answers=(Answer(description="It counts from the next question on.", model=SummaryResource),),
            errors=(Unavailable,),
        )

    async def put_right(self, call: Call[OfOne, Nothing, NewSummary]) -> SummaryResource:
        principal = self.gate.principal(call.request)
        return SummaryResource.of(await self.remembering.put_right(principal, call.path.id, call.body.text))
