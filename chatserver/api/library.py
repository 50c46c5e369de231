"""The client library as it was built, so that pages load it from the server they talk to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, StringConstraints
from starlette.responses import Response

from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.api.static import StaticFile
from chatserver.errors import NotFound

TAG = "Page"


class Module(BaseModel):
    file: Annotated[str, StringConstraints(max_length=64)]


@dataclass(frozen=True)
class Library:
    #: By their names; empty where it wasn't built.
    files: Mapping[str, StaticFile]

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls({path.name: StaticFile.read(path) for path in folder.glob("*.js")})

    @classmethod
    def find(cls) -> Self:
        """Read it beside this file, where a wheel has it, or what was built in the source tree."""
        installed = Path(__file__).with_suffix("")
        built = Path(__file__).parents[2] / "frontend_shim" / "dist"
        return cls.read(installed if installed.is_dir() else built)

    def operations(self) -> Iterable[Operation[Module, Nothing, Nothing]]:
        yield Operation[Module, Nothing, Nothing](
            method="GET",
            path="/client/{file}",
            name="get_client_module",
            tag=TAG,
            summary="A module of the client library",
            description="`client.js`, `attach.js`, `chat-panel.js` and `event-source.js`, for "
            '`<script type="module">` in pages of allowed origins.',
            handler=self.serve,
            path_model=Module,
            answers=(
                Answer(description="The module.", media_type="text/javascript"),
                Answer(status=304, description="As the ETag in If-None-Match says."),
            ),
            errors=(NotFound,),
            security=(),
        )

    async def serve(self, call: Call[Module, Nothing, Nothing]) -> Response:
        if not self.files:
            raise NotFound("The client isn't built here: install Node 20.19 or newer, and run `make page`.")
        if call.path.file not in self.files:
            raise NotFound
        # The name stays when the server gets a newer client, so what is kept is asked about each time.
        return self.files[call.path.file].response(call.request, {"Cache-Control": "no-cache"})
