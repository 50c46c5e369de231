"""A client that knows the questions these tests ask."""

import json
from contextlib import AbstractAsyncContextManager

import httpx


class Simulated:
    """A simulated server, seen from outside."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def chat(self, content: str, **body) -> httpx.Response:
        return await self.http.post("/api/chat", json=chat_body(content, **body))

    def streaming(self, content: str, **body) -> AbstractAsyncContextManager[httpx.Response]:
        return self.http.stream("POST", "/api/chat", json=chat_body(content, **body))

    async def say(self, content: str, **body) -> str:
        answer = await self.chat(content, **body)
        assert answer.status_code == 200, answer.text
        return said(answer)

    async def stats(self, **wanted) -> dict:
        """The counters, as soon as they are as wanted."""
        query = {**wanted, "wait": 5} if wanted else {}
        counters = (await self.http.get("/_sim/stats", params=query)).json()
        assert wanted.items() <= counters.items(), counters
        return counters


def chat_body(content: str, **body) -> dict:
    return {"model": "sim-chat", "messages": [{"role": "user", "content": content}], **body}


def lines(answer: httpx.Response) -> list[dict]:
    return [json.loads(line) for line in answer.text.splitlines()]


def pieces(answer: httpx.Response, channel: str = "content") -> list[str]:
    return [line["message"][channel] for line in lines(answer) if line["message"].get(channel)]


def said(answer: httpx.Response) -> str:
    return "".join(pieces(answer))
