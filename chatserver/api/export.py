"""Taking a conversation away, whole."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse

from chatserver.access.gate import Gate
from chatserver.api.inbound import ExportQuery, OfOne
from chatserver.api.operation import Answer, AnyOperation, Call, Nothing, Operation
from chatserver.api.outbound import ConversationExport
from chatserver.chat.exporting import Exporting
from chatserver.errors import Unavailable

_MARKDOWN_EXAMPLE = """\
# Travel plans

*Begun 2026-03-01T09:30:00.000Z*

## You · 2026-03-01T09:30:04.120Z

Where does the Danube begin?

## llama3.2:latest

In the Black Forest.
"""


@dataclass(frozen=True)
class ExportCalls:
    gate: Gate
    exporting: Exporting

    def operations(self) -> Iterable[AnyOperation]:
        return (
            Operation(
                method="GET",
                path="/api/v1/conversations/{id}/export",
                name="export_conversation",
                tag="Conversations",
                summary="Take a conversation away, whole",
                description="All its branches, in the order in which its messages were completed: each one "
                "once, below the one that it follows, and at the end the answers that are still being made.",
                handler=self.export,
                path_model=OfOne,
                query=ExportQuery,
                answers=(
                    Answer(
                        description="With `format=markdown` a text to read.",
                        media_type="text/markdown",
                        example=_MARKDOWN_EXAMPLE,
                    ),
                    Answer(description="With `format=json` all that is known.", model=ConversationExport),
                ),
                errors=(Unavailable,),
            ),
        )

    async def export(self, call: Call[OfOne, ExportQuery, Nothing]) -> Response:
        export = await self.exporting.begin(self.gate.principal(call.request), call.path.id)
        if call.query.format == "json":
            return _file(self.exporting.json(export), f"{export.conversation.id}.json", "application/json")
        return _file(self.exporting.markdown(export), f"{export.conversation.id}.md", "text/markdown")


def _file(parts: AsyncIterator[str], name: str, media_type: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(parts, headers=headers, media_type=media_type)
