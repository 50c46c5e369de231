"""Conversations at our server, and questions whose answers the simulated model makes as long as asked."""

from collections.abc import Sequence

import httpx

from loadtests.servers import MODEL


async def begin(address: str, count: int) -> Sequence[str]:
    """Begin so many conversations; gives their ids."""
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
        return [await _begin_one(http) for _ in range(count)]


async def _begin_one(http: httpx.AsyncClient) -> str:
    answer = await http.post("/api/v1/conversations", json={"model": MODEL})
    return str(answer.raise_for_status().json()["id"])


def questions(count: int, tokens: int) -> Sequence[str]:
    """Ask for answers of so many tokens, each with the time at which it was written."""
    return [f"Tell me about number {number}. [[tokens={tokens}]] [[stamp=1]]" for number in range(count)]
