"""One Ollama server: asks it, drains what it streams at full speed, and names what went wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from chatserver.errors import (
    BadUpstreamData,
    BadUpstreamRequest,
    FirstTokenTimeout,
    ModelNotFound,
    NoDone,
    PayloadTooLarge,
    Stalled,
    Unreachable,
    UpstreamBusy,
    UpstreamError,
)
from chatserver.generation.pieces import Delta, ToolCalls
from chatserver.wire.ndjson import LineSplitter
from chatserver.wire.ollama import ChatEvent, Done, read_chat_line, read_line, sentence

#: Longest line taken from an upstream; a whole answer without streaming fits.
_LONGEST_LINE = 4 * 1024 * 1024
#: Longest body of a plain (not streamed) answer: a verbose description of a model with 250,000 tokens.
_LONGEST_BODY = 64 * 1024 * 1024

_LONGEST_REFUSAL = 64 * 1024

_REFUSALS: dict[int, type[UpstreamError]] = {
    400: BadUpstreamRequest,
    404: ModelNotFound,
    429: UpstreamBusy,
    503: UpstreamBusy,
}

Take = Callable[[Sequence[Delta | ToolCalls]], None]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds a model server may be silent."""

    connect: float
    first_token: float
    between_tokens: float
    #: For plain requests: lists, descriptions.
    plain: float = 10.0


class OllamaClient:
    def __init__(self, base_url: str, deadlines: Deadlines) -> None:
        self.base_url = base_url.rstrip("/")
        self._deadlines = deadlines
        # No bound on connections: admission is the queue's business. No proxy: these are our own servers.
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            transport=AiohttpTransport(trust_env=False, limits=httpx.Limits(max_connections=0)),
            timeout=httpx.Timeout(None, connect=deadlines.connect),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def chat(self, body: dict[str, Any], take: Take) -> Done:
        """Stream /api/chat into `take`, as fast as it comes, until it says that it is done.

        Leaving this call in any way closes the connection, which is how a model is told to stop.
        """
        splitter = LineSplitter(_LONGEST_LINE)
        silence = _Silence(self._deadlines.between_tokens)
        try:
            async with asyncio.timeout(self._deadlines.first_token) as scope:
                with silence.ends(scope):
                    done = await self._drain(body, splitter, take, silence)
        except TimeoutError as error:
            raise (Stalled if silence.broken else FirstTokenTimeout) from error
        except PayloadTooLarge as error:
            raise BadUpstreamData from error
        if done is None:
            raise NoDone
        return done

    async def _drain(
        self, body: dict[str, Any], splitter: LineSplitter, take: Take, silence: "_Silence"
    ) -> Done | None:
        async with self._stream("/api/chat", body) as chunks:
            async for chunk in chunks:
                events = [event for line in splitter.feed(chunk) for event in read_chat_line(line)]
                done = _hand_over(events, take)
                if done is not None:
                    return done
                if events or silence.broken:
                    silence.hear()
        return _hand_over([event for line in splitter.flush() for event in read_chat_line(line)], take)

    async def version(self) -> str:
        return str((await self._ask("GET", "/api/version")).get("version", ""))

    async def tags(self) -> list[dict[str, Any]]:
        return _objects(await self._ask("GET", "/api/tags"), "models")

    async def loaded(self) -> list[dict[str, Any]]:
        return _objects(await self._ask("GET", "/api/ps"), "models")

    async def show(self, model: str, *, verbose: bool = False) -> dict[str, Any]:
        return await self._ask("POST", "/api/show", {"model": model, "verbose": verbose})

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        return await self._ask("POST", "/api/embed", body)

    async def generate(self, body: dict[str, Any]) -> dict[str, Any]:
        return await self._ask("POST", "/api/generate", {**body, "stream": False})

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        received = bytearray()
        try:
            async with asyncio.timeout(self._deadlines.plain):
                async with self._stream(path, body, method) as chunks:
                    async for chunk in chunks:
                        received += chunk
                        if len(received) > _LONGEST_BODY:
                            raise BadUpstreamData
        except TimeoutError as error:
            raise Unreachable(f"The model server at {self.base_url} doesn't answer.") from error
        return read_line(bytes(received))

    @asynccontextmanager
    async def _stream(
        self, path: str, body: dict[str, Any] | None, method: str = "POST"
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        request = self._http.build_request(
            method,
            path,
            content=None if body is None else orjson.dumps(body),
            headers={"content-type": "application/json"} if body is not None else None,
        )
        response: httpx.Response | None = None
        try:
            response = await self._http.send(request, stream=True)
            if response.status_code != httpx.codes.OK:
                raise await _refusal(response)
            # Not aiter_raw: its bookkeeping costs as much a chunk as reading the chunk.
            assert isinstance(response.stream, httpx.AsyncByteStream)
            yield aiter(response.stream)
        except httpx.HTTPError as error:
            if response is None:
                raise Unreachable(f"The model server at {self.base_url} can't be reached.") from error
            raise NoDone from error
        finally:
            if response is not None:
                await response.aclose()


class _Silence:
    """Ends a scope in which nothing is heard for too long, counted from the first thing heard.

    It looks once a period, so a token costs the noting of a time and not a timer.
    """

    def __init__(self, longest: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._longest = longest
        self._heard = 0.0
        self._scope: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def broken(self) -> bool:
        return self._timer is not None

    @contextmanager
    def ends(self, scope: asyncio.Timeout) -> Iterator[None]:
        self._scope = scope
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def hear(self) -> None:
        self._heard = self._loop.time()
        if self._timer is None:
            assert self._scope is not None
            self._scope.reschedule(None)
            self._timer = self._loop.call_later(self._longest, self._look)

    def _look(self) -> None:
        assert self._scope is not None
        due = self._heard + self._longest
        if due <= self._loop.time():
            self._scope.reschedule(due)
        else:
            self._timer = self._loop.call_at(due, self._look)


def _hand_over(events: list[ChatEvent], take: Take) -> Done | None:
    done = events.pop() if events and isinstance(events[-1], Done) else None
    pieces = [event for event in events if not isinstance(event, Done)]
    if pieces:
        take(pieces)
    return done if isinstance(done, Done) else None


async def _refusal(response: httpx.Response) -> UpstreamError:
    kind = _REFUSALS.get(response.status_code, UpstreamError)
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _LONGEST_REFUSAL:
            break
    text = sentence(_error_text(body))
    return kind(f"The model server refused with status {response.status_code}: {text}")


def _error_text(body: bytes) -> object:
    try:
        return orjson.loads(body).get("error", "")
    except (orjson.JSONDecodeError, AttributeError):
        return body[:1000].decode(errors="replace")


def _objects(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    # Ollama leaves out or nulls an empty list.
    values = answer.get(name) or []
    if not isinstance(values, list):
        raise BadUpstreamData
    return [value for value in values if isinstance(value, dict)]
