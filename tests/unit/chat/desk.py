"""What a person can do, put together as the application does it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from chatserver.access.allowance import Caller
from chatserver.app.application import allowing_of
from chatserver.chat.accepting import Accepting, Receipt
from chatserver.chat.changing import Changing
from chatserver.chat.conversing import Conversing, Turn
from chatserver.chat.work import HandedIn, Work
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane
from tests.unit.works import ALICE, Works


@dataclass(frozen=True)
class Desk:
    works: Works

    @cached_property
    def accepting(self) -> Accepting:
        parts = self.works.parts
        return Accepting(
            engine=parts.engine,
            writer=parts.store.writer,
            repeats=parts.store.repeats,
            allowing=allowing_of(parts),
            clock=parts.clock,
            metrics=parts.metrics,
        )

    @cached_property
    def conversing(self) -> Conversing:
        parts = self.works.parts
        return Conversing(
            accepting=self.accepting,
            fleet=parts.fleet,
            writer=parts.store.writer,
            conversations=parts.store.conversations,
            messages=parts.store.messages,
            prompts=parts.prompts,
            clock=parts.clock,
            most_characters=parts.settings.limits.content_characters,
        )

    @cached_property
    def changing(self) -> Changing:
        return Changing(self.works.engine, self.works.parts.peers, self.works.parts.store.writer)

    @cached_property
    def work(self) -> Work:
        parts = self.works.parts
        return Work(
            accepting=self.accepting,
            engine=parts.engine,
            fleet=parts.fleet,
            prompts=parts.prompts,
            peers=parts.peers,
            writer=parts.store.writer,
            generations=parts.store.generations,
            clock=parts.clock,
        )

    async def begin(self, principal: Principal = ALICE, key: str | None = None, **more: Any) -> str:
        receipt = await self.conversing.create(
            caller(principal), more.get("title"), more.get("model"), more.get("system"), key
        )
        conversation: str = orjson.loads(receipt.body)["id"]
        return conversation

    async def send(
        self, conversation: str, said: str = "[[tokens=2]]", key: str | None = None, **more: Any
    ) -> Receipt:
        return await self.conversing.send(caller(), conversation, Turn(said, **more), key)

    async def hand_in(self, said: str = "[[tokens=2]]", key: str | None = None, **more: Any) -> Receipt:
        work = {"model": None, "lane": Lane.INTERACTIVE, "metadata": None, "expires_in_s": None, **more}
        request = {"messages": [{"role": "user", "content": said}]}
        return await self.work.hand_in(caller(), HandedIn(request, **work), key)


def caller(principal: Principal = ALICE) -> Caller:
    return Caller(principal, "10.0.0.1")
