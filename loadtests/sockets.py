"""Many WebSockets at this server, of which some send a turn each and read its answer."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from loadtests.conversations import begin
from loadtests.load import LoadFailed
from loadtests.processes import Child, running
from loadtests.socket_client import SocketJob

#: Seconds for all handshakes, and for what the client has to work out in the end.
_OPENING_S = 180


class Sockets:
    """They are open, and wait."""

    def __init__(self, client: Child, job: SocketJob) -> None:
        self._client = client
        self._job = job

    async def stream(self) -> dict[str, Any]:
        """Have the turns sent and their answers read; gives what the client has seen."""
        await self._client.tell("go")
        ran = await self._client.facts(self._job.deadline_s + _OPENING_S)
        if ran["complete"] < ran["asked"]:
            raise LoadFailed(f"Only {ran['complete']} of {ran['asked']} answers came whole.")
        return ran


async def messages(address: str, questions: Sequence[str]) -> Sequence[str]:
    """Write a turn in a conversation of its own for each question."""
    conversations = await begin(address, len(questions))
    return [
        json.dumps({"type": "send", "ref": conversation, "conversation": conversation, "content": question})
        for conversation, question in zip(conversations, questions, strict=True)
    ]


@asynccontextmanager
async def opened(job: SocketJob) -> AsyncIterator[Sockets]:
    async with running(sys.executable, "-m", "loadtests.socket_client") as client:
        await client.tell(json.dumps(asdict(job)))
        found = await client.facts(_OPENING_S)
        if found["open"] < job.sockets:
            raise LoadFailed(f"Only {found['open']} of {job.sockets} connections came about. {found['why']}")
        yield Sockets(client, job)
