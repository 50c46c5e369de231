"""The endpoints for embeddings."""

import time
from collections.abc import Iterable
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from chatserver.upstream.simulator.answering import Server, read_body, refuse_for
from chatserver.upstream.simulator.catalogue import find_model
from chatserver.upstream.simulator.completions import launch_for
from chatserver.upstream.simulator.connection import run_until_disconnected
from chatserver.upstream.simulator.embedding import embed, normalise
from chatserver.upstream.simulator.model_options import check_options
from chatserver.upstream.simulator.player import respond
from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.requests import (
    EmbeddingRequest,
    EmbedRequest,
    ModelRequest,
    parse_body,
)
from chatserver.upstream.simulator.vocabulary import load_vocabulary


class Embedding:
    """`/api/embed`, and `/api/embeddings`, its older form for a single text."""

    def __init__(self, server: Server, *, older: bool = False) -> None:
        self._server = server
        self._older = older

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.monotonic_ns()
        body = await read_body(receive)
        self._server.stats.keep(scope["path"], body)
        try:
            refuse_for(self._server.board.draw(("status-500", "status-503")))
            work = self._embed_one(body, send) if self._older else self._embed_all(body, arrived, send)
            ended = await run_until_disconnected(receive, work)
            self._server.stats.ended("served" if ended else "cancelled")
        except Refusal as refusal:
            self._server.stats.ended(refusal.outcome)
            await respond(send, refusal.status, orjson.dumps({"error": refusal.sentence}))

    async def _embed_all(self, body: bytes, arrived: int, send: Send) -> None:
        request = parse_body(EmbedRequest, body)
        texts = [request.input] if isinstance(request.input, str) else request.input
        if texts == [""]:
            texts = []
        vectors, tokens, loaded = await self._vectors(request, texts)
        answer: dict[str, Any] = {
            "model": request.model,
            "embeddings": [_shorten(vector, request.dimensions) for vector in vectors],
        }
        if texts:
            answer["total_duration"] = time.monotonic_ns() - arrived
            answer["load_duration"] = loaded - arrived
            answer["prompt_eval_count"] = tokens
        await respond(send, 200, orjson.dumps(answer))

    async def _embed_one(self, body: bytes, send: Send) -> None:
        request = parse_body(EmbeddingRequest, body)
        vectors, _, _ = await self._vectors(request, [request.prompt] if request.prompt else [])
        await respond(send, 200, orjson.dumps({"embedding": vectors[0] if vectors else []}))

    async def _vectors(
        self, request: ModelRequest, texts: Iterable[str]
    ) -> tuple[list[list[float]], int, int]:
        """Return the vectors, the tokens they took, and when the model was loaded."""
        model = find_model(request.model, hint=True)
        launch = launch_for(
            model, check_options(request.options), self._server.options.context_length, shift=True
        )
        async with self._server.runners.use(model, launch, request.keep_alive) as runner:
            loaded = time.monotonic_ns()
            async with self._server.runners.slot(runner):
                fitted = [_fit(text, launch.num_ctx, truncate=request.truncate) for text in texts]
                tokens = sum(load_vocabulary().count(text) for text in fitted)
                return [embed(text, model.dimensions) for text in fitted], tokens, loaded


def _fit(text: str, size: int, *, truncate: bool) -> str:
    ids = load_vocabulary().encode(text)
    if len(ids) <= size:
        return text
    if not truncate:
        raise Refusal(400, "the input length exceeds the context length")
    return load_vocabulary().decode(ids[:size])


def _shorten(vector: list[float], dimensions: int) -> list[float]:
    return normalise(vector[:dimensions]) if 0 < dimensions < len(vector) else vector
