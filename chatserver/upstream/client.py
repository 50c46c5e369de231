"""One Ollama server: asks it, drains what it streams at full speed, and names what went wrong."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
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
from chatserver.upstream.exchange import LONGEST_REFUSAL, BrokenExchangeError, Exchanges
from chatserver.wire.ndjson import LineSplitter
from chatserver.wire.ollama import Done, read_chat_line, read_line, sentence

#: Longest line taken from an upstream; a whole answer without streaming fits.
_LONGEST_LINE = 4 * 1024 * 1024
#: Longest body of a plain (not streamed) answer: a verbose description of a model with 250,000 tokens.
_LONGEST_BODY = 64 * 1024 * 1024

#: Seconds for reading what has come already, before nothing counts as having come.
_READ_FIRST_S = 0.05

_PLAIN_PATHS = ("/api/ps", "/api/show", "/api/tags", "/api/version")

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
        # The transport alone, without httpx's client around it: cookies, redirects and the merging of
        # addresses took half of the time until a request left. No bound on connections: admission is the
        # queue's business. No proxy: these are our own servers.
        self._exchanges = Exchanges(self.base_url, deadlines.connect, _trusted())
        self._transport = AiohttpTransport(
            verify=_trusted(), trust_env=False, limits=httpx.Limits(max_connections=0)
        )
        self._addresses = {path: httpx.URL(self.base_url + path) for path in _PLAIN_PATHS}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()

    async def chat(self, body: dict[str, Any], take: Take) -> Done:
        """Stream /api/chat into `take`, as fast as it comes, until it says that it is done.

        Leaving this call in any way closes the connection, which is how a model is told to stop.
        """
        silence = _Silence(self._deadlines.first_token, self._deadlines.between_tokens)
        answer = _Answer(take, silence)
        begun = False
        try:
            async with asyncio.timeout(None) as scope:
                with silence.ends(scope):
                    async with self._exchanges.post("/api/chat", orjson.dumps(body), answer.take) as exchange:
                        status = await exchange.status
                        begun = True
                        await exchange.complete
                        if status != httpx.codes.OK:
                            raise _refusal(status, bytes(exchange.refusal))
                        answer.finish()
        except TimeoutError as error:
            if answer.done is None:
                raise (Stalled if silence.broken else FirstTokenTimeout) from error
        except BrokenExchangeError as error:
            if answer.done is None:
                raise (NoDone if begun else self._unreachable()) from error
        if answer.done is None:
            raise NoDone
        return answer.done

    async def version(self) -> str:
        return str((await self._ask("GET", "/api/version")).get("version", ""))

    async def tags(self) -> list[dict[str, Any]]:
        return _objects(await self._ask("GET", "/api/tags"), "models")

    async def loaded(self) -> list[dict[str, Any]]:
        return _objects(await self._ask("GET", "/api/ps"), "models")

    async def show(self, model: str, *, verbose: bool = False) -> dict[str, Any]:
        return await self._ask("POST", "/api/show", {"model": model, "verbose": verbose})

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        received = bytearray()
        try:
            async with asyncio.timeout(self._deadlines.plain):
                async with self._stream(method, path, body) as chunks:
                    async for chunk in chunks:
                        received += chunk
                        if len(received) > _LONGEST_BODY:
                            raise BadUpstreamData
        except TimeoutError as error:
            raise Unreachable(f"The model server at {self.base_url} doesn't answer.") from error
        return read_line(bytes(received))

    @asynccontextmanager
    async def _stream(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        request = httpx.Request(
            method,
            self._addresses[path],
            content=None if body is None else orjson.dumps(body),
            headers={"content-type": "application/json"} if body is not None else None,
            extensions={"timeout": {"connect": self._deadlines.connect}},
        )
        response: httpx.Response | None = None
        try:
            response = await self._transport.handle_async_request(request)
            if response.status_code != httpx.codes.OK:
                raise _refusal(response.status_code, await _beginning(response))
            # Not aiter_raw: its bookkeeping costs as much a chunk as reading the chunk.
            assert isinstance(response.stream, httpx.AsyncByteStream)
            yield aiter(response.stream)
        except httpx.HTTPError as error:
            if response is None:
                raise self._unreachable() from error
            raise NoDone from error
        finally:
            if response is not None:
                await response.aclose()

    def _unreachable(self) -> Unreachable:
        return Unreachable(f"The model server at {self.base_url} can't be reached.")


@cache
def _trusted() -> ssl.SSLContext:
    """Trust whom the machine trusts, an organisation's own authority too, or those in SSL_CERT_FILE.

    Read once: reading takes longer than all else that opening a client does.
    """
    return ssl.create_default_context()


class _Silence:
    """Ends a scope in which nothing is heard for too long: at first, and between one thing and the next.

    It looks once a period, so a token costs the noting of a time and not a timer.
    """

    def __init__(self, at_first: float, between: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._longest = at_first
        self._between = between
        self._heard = self._loop.time()
        self._scope: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Something has been heard.
        self.broken = False

    @contextmanager
    def ends(self, scope: asyncio.Timeout) -> Iterator[None]:
        self._scope = scope
        self._look_at(self._heard + self._longest)
        try:
            yield
        finally:
            self._look_at(None)

    def hear(self) -> None:
        self._heard = self._loop.time()
        if not self.broken:
            self.broken = True
            self._longest = self._between
            self._look_at(self._heard + self._longest)

    def _look_at(self, when: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if when is None else self._loop.call_at(when, self._look)

    def _look(self) -> None:
        due = self._heard + self._longest
        if due > self._loop.time():
            self._look_at(due)
        else:
            # Where this whole process stood still, its timers come before what lies in its sockets.
            self._timer = self._loop.call_later(_READ_FIRST_S, self._end, self._heard)

    def _end(self, heard: float) -> None:
        if self._heard > heard:
            self._look()
        else:
            assert self._scope is not None
            self._scope.reschedule(self._loop.time())


class _Answer:
    """Reads what a model server streams: bytes to lines, lines to pieces, pieces to the log."""

    def __init__(self, take: Take, silence: _Silence) -> None:
        self._splitter = LineSplitter(_LONGEST_LINE)
        self._take = take
        self._silence = silence
        self.done: Done | None = None

    def take(self, chunk: bytes) -> bool:
        """Read on; True once the answer is complete."""
        try:
            lines = self._splitter.feed(chunk)
        except PayloadTooLarge as error:
            raise BadUpstreamData from error
        self._read(lines)
        return self.done is not None

    def finish(self) -> None:
        """Read what stands after the last line break."""
        self._read(self._splitter.flush())

    def _read(self, lines: list[bytes]) -> None:
        pieces: list[Delta | ToolCalls] = []
        for line in lines:
            for event in read_chat_line(line):
                if isinstance(event, Done):
                    self.done = event
                elif self.done is None:
                    pieces.append(event)
        if pieces:
            self._take(pieces)
        # Only a whole line is a sign of life: bytes of one that never ends would keep the slot.
        if pieces or (lines and self._silence.broken):
            self._silence.hear()


async def _beginning(response: httpx.Response) -> bytes:
    body = b""
    # The status says what matters, however much of the text comes.
    with suppress(httpx.HTTPError):
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > LONGEST_REFUSAL:
                break
    return body


def _refusal(status: int, body: bytes) -> UpstreamError:
    kind = _REFUSALS.get(status, UpstreamError)
    return kind(f"The model server refused with status {status}: {sentence(_error_text(body))}")


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
