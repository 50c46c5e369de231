"""Which endpoint answers which path; those that only tell what there is stand here."""

import time
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from chatserver.upstream.simulator.answering import Answering, Server
from chatserver.upstream.simulator.catalogue import (
    CATALOGUE,
    find_model,
    full_description,
    full_name,
    list_entry,
    loaded_entry,
)
from chatserver.upstream.simulator.completions import read_chat, read_generate
from chatserver.upstream.simulator.embedding_endpoint import Embedding
from chatserver.upstream.simulator.lines import timestamp
from chatserver.upstream.simulator.requests import ShowRequest, parse_body

#: The version whose behaviour this is.
VERSION = "0.33.0"


class JSON(Response):
    """JSON with Ollama's own content type."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def routes(server: Server) -> list[BaseRoute]:
    async def loaded(_request: Request) -> Response:
        now = time.time_ns()
        entries = [
            loaded_entry(runner.model, timestamp(now + int(left * 1e9)).decode(), runner.launch.num_ctx)
            for runner, left in server.runners.loaded()
        ]
        return JSON({"models": entries})

    return [
        Route("/", _greet),
        Route("/api/version", _version),
        Route("/api/tags", _tags),
        Route("/api/ps", loaded),
        Route("/api/show", _show, methods=["POST"]),
        Route("/api/chat", Answering(server, read_chat), methods=["POST"]),
        Route("/api/generate", Answering(server, read_generate), methods=["POST"]),
        Route("/api/embed", Embedding(server), methods=["POST"]),
        Route("/api/embeddings", Embedding(server, older=True), methods=["POST"]),
    ]


async def _greet(_request: Request) -> Response:
    return PlainTextResponse("Ollama is running")


async def _version(_request: Request) -> Response:
    return JSON({"version": VERSION})


async def _tags(_request: Request) -> Response:
    return JSON({"models": [list_entry(model) for model in CATALOGUE]})


async def _show(request: Request) -> Response:
    asked = parse_body(ShowRequest, await request.body())
    name = asked.model or asked.name
    # Unlike the others, this refusal names the model in full.
    model = find_model(full_name(name) if name else "")
    return JSON(full_description(model, verbose=asked.verbose))
