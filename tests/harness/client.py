"""What a program does over HTTP: begins conversations, sends turns, hands in work, looks, stops."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport

Json = dict[str, Any]

#: Seconds a plain call may take on a slow and busy machine.
CALL_S = 20

_PROBLEM_MEMBERS = {"type", "title", "status", "code", "detail", "request_id"}


class Refused(Exception):
    """The server answered with a problem document."""

    def __init__(self, problem: Json) -> None:
        self.problem = problem
        super().__init__(str(problem))


@dataclass(frozen=True)
class Client:
    http: httpx.AsyncClient

    @property
    def url(self) -> str:
        return str(self.http.base_url).rstrip("/")

    @property
    def cookies(self) -> str:
        """The cookies that were set, as a Cookie header."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies.jar)

    async def begin(self, **body: Any) -> str:
        """Begin a conversation; gives its id."""
        return str((await self.call("POST", "/conversations", body))["id"])

    async def conversation(self, conversation: str) -> Json:
        return await self.call("GET", f"/conversations/{conversation}")

    async def search(self, words: str) -> list[str]:
        """Find conversations; gives their ids."""
        response = await self.http.get("/api/v1/conversations", params={"q": words})
        return [conversation["id"] for conversation in read(response)["items"]]

    async def change(self, conversation: str, **changes: Any) -> Json:
        return await self.call("PATCH", f"/conversations/{conversation}", changes)

    async def delete(self, conversation: str) -> None:
        await self.call("DELETE", f"/conversations/{conversation}")

    async def send(self, conversation: str, content: str, key: str | None = None, **body: Any) -> Json:
        """Send a turn; gives `{message, generation}`."""
        path = f"/conversations/{conversation}/messages"
        return await self.call("POST", path, {"content": content, **body}, key)

    async def regenerate(self, conversation: str, key: str | None = None, **body: Any) -> Json:
        """Have an answer made anew; gives the generation."""
        path = f"/conversations/{conversation}/regenerate"
        return dict((await self.call("POST", path, body, key))["generation"])

    async def retry(self, generation: str, key: str | None = None) -> Json:
        """Have made again what failed; gives the generation."""
        return dict((await self.call("POST", f"/generations/{generation}/retry", {}, key))["generation"])

    async def ask(self, content: str, **body: Any) -> str:
        """Send a turn in a conversation of its own; gives the generation's id."""
        return str((await self.send(await self.begin(), content, **body))["generation"]["id"])

    async def hand_in(self, prompt: str, key: str | None = None, **body: Any) -> str:
        """Hand in work; gives the generation's id."""
        accepted = await self.call("POST", "/generations", {"prompt": prompt, **body}, key)
        return str(accepted["generation"]["id"])

    async def generation(self, generation: str) -> Json:
        return await self.call("GET", f"/generations/{generation}")

    async def messages(self, conversation: str) -> list[Json]:
        return list((await self.call("GET", f"/conversations/{conversation}/messages"))["items"])

    async def cancel(self, generation: str) -> Json:
        return await self.call("POST", f"/generations/{generation}/cancel")

    async def ticket(self, **target: str) -> str:
        return str((await self.call("POST", "/tickets", target))["ticket"])

    async def call(self, method: str, path: str, body: Json | None = None, key: str | None = None) -> Json:
        """Make a call of the API; a problem document is raised."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return read(await self.http.request(method, f"/api/v1{path}", json=body, headers=headers))


def read(response: httpx.Response) -> Json:
    """Read a JSON answer that has been received whole; a problem document is raised."""
    answer: Json = response.json() if response.content else {}
    if response.is_success:
        return answer
    assert response.headers["content-type"] == "application/problem+json"
    assert set(answer) >= _PROBLEM_MEMBERS, answer
    assert answer["status"] == response.status_code
    assert answer["request_id"] == response.headers["x-request-id"]
    raise Refused(answer)


async def wait_for_some(calls: Iterable[asyncio.Task[Json]], count: int) -> None:
    """Wait until so many of the calls have been answered."""
    waiting, answered = set(calls), 0
    async with asyncio.timeout(CALL_S):
        while answered < count:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            answered += len(done)


@asynccontextmanager
async def client_of(url: str, **headers: str) -> AsyncIterator[Client]:
    """Open a client with cookies of its own."""
    # httpx's own pool goes through all its connections at each call, which a hundred readers would feel.
    transport = AiohttpTransport(trust_env=False, limits=httpx.Limits(max_connections=0))
    async with httpx.AsyncClient(
        base_url=url, headers=headers, transport=transport, trust_env=False, timeout=CALL_S
    ) as http:
        yield Client(http)


@asynccontextmanager
async def visitor_of(url: str) -> AsyncIterator[Client]:
    """Open a client that is a user of its own, as a browser is that has opened the page."""
    async with client_of(url) as visitor:
        await visitor.http.get("/")
        yield visitor
