"""What a person can do, put together as the application does it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from chatserver.access.allowance import Caller
from chatserver.app.services import Services, make_services
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
    def services(self) -> Services:
        return make_services(self.works.parts)

    @property
    def accepting(self) -> Accepting:
        return self.services.work.accepting

    @property
    def conversing(self) -> Conversing:
        return self.services.conversing

    @property
    def changing(self) -> Changing:
        return self.services.changing

    @property
    def work(self) -> Work:
        return self.services.work

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
