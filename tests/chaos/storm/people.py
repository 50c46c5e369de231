"""People who ask and read as every client does: who gets no answer goes elsewhere, with what it has."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TypeVar
from uuid import UUID

import httpx
from websockets.exceptions import WebSocketException

from tests.chaos.storm.arena import Instance
from tests.harness.client import Refused
from tests.harness.readers import TRANSPORTS, read
from tests.harness.received import Received
from tests.harness.websocket import socket

#: Seconds without an answer, and without a piece of one, after which somebody goes elsewhere.
_CALL_S = 3
_SILENCE_S = 2.5
_COME_BACK_S = 0.1
#: Seconds within which every question is accepted and every answer read, whatever happens.
_PATIENCE_S = 60
#: Tokens of an answer, and seconds before the next question, at most.
_TOKENS = (20, 90)
_THINKING_S = 1
#: One turn in so many is stopped while it is made.
_ONE_IN_STOPPED = 12
_BEGUN = 10

_LOST = (httpx.TransportError, WebSocketException, OSError, TimeoutError)
_LATER = {503, 504}

T = TypeVar("T")


@dataclass
class Turn:
    conversation: str
    key: str
    #: Where it was accepted; that instance mostly makes the answer.
    at: Instance
    #: Of whoever asked, and of somebody who looks on elsewhere.
    readings: Sequence[Received]
    #: Somebody has asked for its end.
    stopped: bool = False
    #: The longest that whoever asked has waited for something to read, in seconds.
    longest_wait: float = 0

    @property
    def generation(self) -> str:
        return self.readings[0].generation

    @property
    def begun(self) -> bool:
        return all(len(received.answer) > _BEGUN for received in self.readings)

    @property
    def ended(self) -> bool:
        return all(received.end is not None for received in self.readings)


@dataclass
class Company:
    """Several people at once, each in a conversation, until they are told that it is enough."""

    instances: Sequence[Instance]
    rng: random.Random
    #: The database goes away, so an answer may be saved only after its end was shown.
    ends_unsaved: bool = False
    turns: list[Turn] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)
    #: No new questions.
    enough: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, people: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for n in range(people):
                tasks.create_task(self._talk(n), name=f"person {n}")

    async def begun(self, count: int) -> None:
        """Wait until so many answers are being read."""
        async with asyncio.timeout(_PATIENCE_S):
            while sum(turn.begun for turn in self.turns) < count:
                self._news.clear()
                await self._news.wait()

    def owners(self) -> list[Instance]:
        """Where answers are being made, as far as people know."""
        return [turn.at for turn in self.turns if not turn.ended]

    async def _talk(self, n: int) -> None:
        through = self._from(n)
        conversation = await self._insist(
            through, lambda at: at.client.call("POST", "/conversations", {}, key=self._key())
        )
        self.conversations.append(conversation["id"])
        while not self.enough:
            await self._turn(conversation["id"], n)
            await asyncio.sleep(self.rng.random() * _THINKING_S)

    async def _turn(self, conversation: str, n: int) -> None:
        key, tokens = self._key(), self.rng.randint(*_TOKENS)
        asked: list[Instance] = []

        async def ask(at: Instance) -> str:
            asked.append(at)
            way = _by_websocket if n % 3 == 2 else _by_post
            return await way(at, conversation, f"Tell me of the sea. [[tokens={tokens}]]", key)

        generation = await self._insist(self._from(n), ask)
        turn = Turn(conversation, key, asked[-1], (Received(generation), Received(generation)))
        self.turns.append(turn)
        async with asyncio.TaskGroup() as tasks:
            for i, received in enumerate(turn.readings):
                tasks.create_task(self._read(turn, received, n + i), name=f"reader {n}.{i}")
            if self.rng.randrange(_ONE_IN_STOPPED) == 0:
                tasks.create_task(self._stop(turn, n + 1), name=f"stop {n}")

    async def _read(self, turn: Turn, received: Received, first: int) -> None:
        """Read to the end, through one instance and transport after the other."""
        through, transports = self._from(first), cycle(islice(cycle(TRANSPORTS), first % 3, first % 3 + 3))
        loop = asyncio.get_running_loop()
        heard = loop.time()

        def news(_: Received) -> bool:
            nonlocal heard
            if received is turn.readings[0]:
                turn.longest_wait = max(turn.longest_wait, loop.time() - heard)
            heard = loop.time()
            scope.reschedule(heard + _SILENCE_S)
            self._news.set()
            return False

        async with asyncio.timeout(_PATIENCE_S):
            while received.end is None:
                try:
                    async with asyncio.timeout(_SILENCE_S) as scope:
                        await read(next(through).client, received, next(transports), news)
                except _LOST:
                    await asyncio.sleep(_COME_BACK_S)
                except Refused as refused:
                    if not self._passes(refused):
                        raise
                    await asyncio.sleep(_COME_BACK_S)

    async def _stop(self, turn: Turn, first: int) -> None:
        turn.stopped = True
        await asyncio.sleep(self.rng.random())
        await self._insist(self._from(first), lambda at: at.client.cancel(turn.generation))

    async def _insist(self, through: Iterator[Instance], call: Callable[[Instance], Awaitable[T]]) -> T:
        """Call one instance after the other until one has done it."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    async with asyncio.timeout(_CALL_S):
                        return await call(next(through))
                except _LOST:
                    await asyncio.sleep(_COME_BACK_S)
                except Refused as refused:
                    if not self._passes(refused):
                        raise
                    await asyncio.sleep(_COME_BACK_S)

    def _passes(self, refused: Refused) -> bool:
        status, code = refused.problem["status"], refused.problem["code"]
        return status in _LATER or (self.ends_unsaved and code == "turn_in_progress")

    def _from(self, first: int) -> Iterator[Instance]:
        count = len(self.instances)
        return cycle(islice(cycle(self.instances), first % count, first % count + count))

    def _key(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))


async def _by_post(at: Instance, conversation: str, content: str, key: str) -> str:
    return str((await at.client.send(conversation, content, key))["generation"]["id"])


async def _by_websocket(at: Instance, conversation: str, content: str, key: str) -> str:
    async with socket(at.client.url, cookies=at.client.cookies) as opened:
        answer = await opened.ask("send", ref=key, conversation=conversation, content=content)
        if answer["type"] == "error":
            raise Refused(answer)
        return str(answer["generation"]["id"])
