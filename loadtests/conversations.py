"""Conversations at our server, and questions whose answers the simulated model makes as long as asked."""

import asyncio
from collections.abc import Sequence

import httpx

from loadtests.load import request
from loadtests.servers import MODEL

#: Conversations that are begun at the same time: they share commits.
_AT_ONCE = 20
#: Seconds for a call on a machine under load.
_ANSWER_S = 30


async def begin(address: str, count: int) -> Sequence[str]:
    """Begin so many conversations; gives their ids."""
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
        turns = asyncio.Semaphore(_AT_ONCE)
        return await asyncio.gather(*(_begin_one(http, turns) for _ in range(count)))


async def _begin_one(http: httpx.AsyncClient, turns: asyncio.Semaphore) -> str:
    async with turns:
        answer = await http.post("/api/v1/conversations", json={"model": MODEL})
    return str(answer.raise_for_status().json()["id"])


async def ask(address: str, conversations: Sequence[str], questions: Sequence[str]) -> Sequence[str]:
    """Ask in each conversation; gives the generations' ids."""
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=_ANSWER_S) as http:
        turns = asyncio.Semaphore(_AT_ONCE)
        pairs = zip(conversations, questions, strict=True)
        return await asyncio.gather(*(_ask_one(http, turns, *pair) for pair in pairs))


async def _ask_one(
    http: httpx.AsyncClient, turns: asyncio.Semaphore, conversation: str, question: str
) -> str:
    async with turns:
        path = f"/api/v1/conversations/{conversation}/messages"
        answer = await http.post(path, json={"content": question})
    return str(answer.raise_for_status().json()["generation"]["id"])


def events(address: str, generation: str) -> str:
    """Write the request that reads an answer from its start, as events."""
    head = (
        f"GET /api/v1/generations/{generation}/events HTTP/1.1",
        f"Host: {address}",
        "Accept: text/event-stream",
        "Connection: close",
    )
    return "\r\n".join([*head, "", ""])


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
