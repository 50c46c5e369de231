"""Calls an application as a server would, message by message, so that a test decides what comes when."""

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import orjson
from starlette.types import ASGIApp, Message
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from chatserver.transports.outlet import OUTLET

HOST = "127.0.0.1:8000"
#: Seconds after which a test that waits has failed, on a machine that does much else.
PATIENCE = 20.0


def scope_of(kind: str, path: str, headers: Mapping[str, str], **more: Any) -> dict[str, Any]:
    path, _, query = path.partition("?")
    given = {"host": HOST, **headers}
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
        **more,
    }


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    name: str
    data: Any
    id: str | None


class Connection:
    """One run of the application, and the messages between it and the test."""

    def __init__(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        self._app = app
        self._scope = scope
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message | None] = asyncio.Queue()
        self._open = asyncio.Event()
        self._open.set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="application")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.resume()
        self.hang_up()
        async with asyncio.timeout(PATIENCE):
            await self._task

    def pause(self) -> None:
        """Take nothing more from the application: what it sends has to wait."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def hang_up(self) -> None:
        kind = "http.disconnect" if self._scope["type"] == "http" else "websocket.disconnect"
        self._to_app.put_nowait({"type": kind, "code": 1006})

    async def message(self) -> Message | None:
        """Give the next message of the application; None when it has returned."""
        async with asyncio.timeout(PATIENCE):
            return await self._from_app.get()

    def waiting(self) -> int:
        """Count the messages that were sent and not yet looked at."""
        return self._from_app.qsize()

    async def returned(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._to_app.get, self._send)
        finally:
            self._from_app.put_nowait(None)

    async def _send(self, message: Message) -> None:
        await self._open.wait()
        self._from_app.put_nowait(message)


class Http(Connection):
    def __init__(
        self,
        app: ASGIApp,
        method: str,
        path: str,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        body = b"" if json is None else orjson.dumps(json)
        named = {"content-type": "application/json", "content-length": str(len(body))} if body else {}
        super().__init__(app, scope_of("http", path, {**named, **(headers or {})}, method=method))
        self._scope[OUTLET] = self
        self._to_app.put_nowait({"type": "http.request", "body": body, "more_body": False})
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self._buffer = b""
        #: The application has said that the body is complete.
        self.complete = False

    def hold_body(self) -> None:
        """Send no body, though one was announced."""
        self._to_app.get_nowait()

    def without_outlet(self) -> Self:
        """Be a server that gives no outlet."""
        del self._scope[OUTLET]
        return self

    @property
    def free(self) -> bool:
        return self._open.is_set()

    def write(self, piece: bytes) -> None:
        assert self.free
        self._from_app.put_nowait({"type": "http.response.body", "body": piece, "more_body": True})

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    async def begin(self) -> Self:
        message = await self.message()
        assert message is not None
        assert message["type"] == "http.response.start"
        self.status = message["status"]
        self.headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
        return self

    async def chunk(self) -> bytes | None:
        message = await self.message()
        if message is None:
            return None
        self.complete = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    async def event(self) -> Event | None:
        """Give the next server-sent event, or None at the end."""
        while b"\n\n" not in self._buffer:
            chunk = await self.chunk()
            if chunk is None:
                assert self._buffer == b""
                return None
            self._buffer += chunk
        block, self._buffer = self._buffer.split(b"\n\n", 1)
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
        return Event(fields["event"], orjson.loads(fields["data"]), fields.get("id"))

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self.event()) is not None:
            yield event


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


async def call(
    app: ASGIApp, method: str, path: str, json: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Call and wait for the whole answer."""
    async with Http(app, method, path, json, headers) as http:
        await http.begin()
        body = b""
        while (chunk := await http.chunk()) is not None:
            body += chunk
        return Answer(http.status, http.headers, body)


class WebSocket(Connection):
    def __init__(
        self, app: ASGIApp, path: str = "/api/v1/ws", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            app, scope_of("websocket", path, headers or {}, subprotocols=["chatserver.v1"], extensions={})
        )
        self._scope[OUTLET] = self
        self._to_app.put_nowait({"type": "websocket.connect"})

    @property
    def free(self) -> bool:
        return self._open.is_set()

    def write(self, piece: bytes) -> None:
        assert self.free
        for text in messages_of(piece):
            self._from_app.put_nowait({"type": "websocket.send", "text": text})

    async def accepted(self) -> str | None:
        message = await self.message()
        assert message is not None
        assert message["type"] == "websocket.accept"
        subprotocol: str | None = message["subprotocol"]
        return subprotocol

    def say(self, frame: Any) -> None:
        text = frame if isinstance(frame, str) else orjson.dumps(frame).decode()
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    def say_bytes(self, data: bytes) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", "bytes": data})

    async def frame(self) -> Any:
        message = await self.message()
        assert message is not None, "the application has returned"
        assert message["type"] == "websocket.send", message
        return orjson.loads(message["text"])

    async def frame_of(self, kind: str) -> Any:
        """Give the next frame of this type, past all others."""
        while (frame := await self.frame())["type"] != kind:
            pass
        return frame

    async def closed(self) -> int:
        """Give the code with which the application closes, past all frames."""
        while (message := await self.message()) is not None:
            if message["type"] == "websocket.close":
                code: int = message["code"]
                return code
        raise AssertionError("the application returned without closing")


def messages_of(data: bytes) -> list[str]:
    """Read the messages that a server has written."""
    reader = StreamReader()
    reader.feed_data(data)
    frames: list[Frame] = []

    def parse() -> Generator[None, None, None]:
        while reader.buffer:
            frames.append((yield from Frame.parse(reader.read_exact, mask=False)))

    assert list(parse()) == []
    assert all(frame.opcode is Opcode.TEXT and frame.fin for frame in frames)
    return [bytes(frame.data).decode() for frame in frames]


@asynccontextmanager
async def websocket(
    app: ASGIApp, path: str = "/api/v1/ws", headers: Mapping[str, str] | None = None
) -> AsyncIterator[WebSocket]:
    """Open a WebSocket and wait until it is ready."""
    async with WebSocket(app, path, headers) as socket:
        assert await socket.accepted() == "chatserver.v1"
        assert (await socket.frame())["type"] == "ready"
        yield socket
