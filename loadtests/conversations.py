"""Conversations at our server, and questions whose answers the simulated model makes as long as asked."""

import asyncio
from collections.abc import Sequence

import httpx

from loadtests.load import request
from loadtests.servers import MODEL

#: Conversations that are begun at the same time: they share commits.
_AT_ONCE = 20


async def begin(address: str, count: int) -> Sequence[str]:
    """Begin so many conversations; gives their ids."""
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
        turns = asyncio.Semaphore(_AT_ONCE)
        return await asyncio.gather(*(_begin_one(http, turns) for _ in range(count)))


async def _begin_one(http: httpx.AsyncClient, turns: asyncio.Semaphore) -> str:
    async with turns:
        answer = await http.post("/api/v1/conversations", json={"model": MODEL})
    return str(answer.raise_for_status().json()["id"])


def turn(address: str, conversation: str, question: str, *, close: bool = False) -> str:
    """Write the request that asks, and streams the answer as events."""
    path = f"/api/v1/conversations/{conversation}/messages"
    return request(path, address, {"content": question}, accept="text/event-stream", close=close)


def questions(count: int, tokens: int) -> Sequence[str]:
    """Ask for answers of so many tokens, each with the time at which it was written."""
    return [f"Tell me about number {number}. [[tokens={tokens}]] [[stamp=1]]" for number in range(count)]


def endless_questions(count: int) -> Sequence[str]:
    """Ask for answers that end where the server ends them."""
    return [f"Tell me about number {number}. [[fault=endless]] [[stamp=1]]" for number in range(count)]
