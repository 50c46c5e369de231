"""The client library in a real browser, through a proxy that is bad to it, in front of a real server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.person import PATIENCE_MS, Person
from tests.harness.proxy import Proxy, proxy_to
from tests.harness.service import Service, service_of
from tests.harness.site import Site, site_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with site_of(Path(__file__).parent / "pages") as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(
    page_built: None, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    settings = {"server.public_origins": site.url}
    async with service_of(tmp_path_factory.mktemp("data"), settings, ("--rate", "150")) as running:
        yield running


@dataclass
class Visitor:
    """A page with nothing but the client, and the proxy between it and the server."""

    page: Page
    proxy: Proxy

    async def ask(self, tokens: int, conversation: str | None = None) -> str:
        """Send a message; gives its conversation."""
        conversation = conversation or await self.page.evaluate("chat.begin()")
        await self.page.evaluate(
            "([id, text]) => chat.ask(id, text)", [conversation, f"[[tokens={tokens}]] Go on"]
        )
        return conversation

    async def reads(self, characters: int) -> None:
        """Wait until so much of the newest answer has come."""
        await self.until(f"chat.text().length >= {characters}")

    async def until(self, fact: str) -> None:
        await self.page.wait_for_function(f"() => window.chat && {fact}", timeout=2 * PATIENCE_MS)

    async def wholes(self) -> list[dict[str, Any]]:
        """Wait for all answers: each is whole, and what the server says it is."""
        wholes = list(await self.page.evaluate("chat.wholes()"))
        assert [(whole["reason"], whole["verified"]) for whole in wholes] == [("completed", True)] * len(
            wholes
        )
        assert await self.page.evaluate("chat.reports") == []
        return wholes

    async def transport(self) -> str:
        return str(await self.page.evaluate("chat.client.connection.transport"))


@asynccontextmanager
async def visitor(
    browser: Browser, service: Service, site: Site, **behaviour: bool
) -> AsyncIterator[Visitor]:
    async with proxy_to(service.url, **behaviour) as proxy:
        context = await browser.new_context()
        try:
            person = Person(await context.new_page())
            query = urlencode({"from": service.url, "server": proxy.url})
            await person.page.goto(f"{site.url}/bare.html?{query}")
            await person.page.wait_for_function("() => window.chat")
            yield Visitor(person.page, proxy)
        finally:
            await context.close()


async def test_over_a_good_way_a_websocket_carries_everything(browser, service, site) -> None:
    async with visitor(browser, service, site) as somebody:
        await somebody.ask(50)
        assert len(await somebody.wholes()) == 1
        assert await somebody.transport() == "websocket"
        assert set(somebody.proxy.readers) == {"websocket"}


async def test_where_websockets_are_blocked_events_carry_the_answer(browser, service, site) -> None:
    async with visitor(browser, service, site, blocks_websockets=True) as somebody:
        await somebody.ask(50)
        await somebody.wholes()
        assert await somebody.transport() == "sse"
        assert "longpoll" not in somebody.proxy.readers


async def test_where_events_are_held_back_polls_carry_the_answer(browser, service, site) -> None:
    async with visitor(browser, service, site, blocks_websockets=True, holds_events=True) as somebody:
        await somebody.ask(900)
        # It arrives while it is made, and not when it is whole.
        await somebody.until("chat.client.connection.transport === 'longpoll' && chat.text().length > 100")
        assert await somebody.page.evaluate("chat.client.unsent.length") == 0
        await somebody.wholes()


async def test_a_way_that_becomes_worse_in_mid_answer_costs_nothing(browser, service, site) -> None:
    async with visitor(browser, service, site) as somebody:
        await somebody.ask(700)
        await somebody.reads(200)
        somebody.proxy.blocks_websockets = True
        somebody.proxy.cut()
        await somebody.until("chat.client.connection.transport === 'sse'")
        await somebody.wholes()


async def test_a_server_killed_and_started_again_in_mid_answer_goes_on_with_it(
    browser, service, site
) -> None:
    async with visitor(browser, service, site) as somebody:
        await somebody.ask(600)
        await somebody.reads(200)
        await service.server.restart()
        await somebody.wholes()
        assert await somebody.transport() == "websocket"


async def test_who_is_offline_for_a_while_reads_on_where_they_were(browser, service, site) -> None:
    async with visitor(browser, service, site) as somebody:
        await somebody.ask(400)
        await somebody.reads(200)
        somebody.proxy.go_away()
        await somebody.until("chat.client.connection.state === 'waiting'")
        await somebody.page.context.set_offline(True)
        read = len(await somebody.page.evaluate("chat.text()"))
        somebody.proxy.away = False
        await somebody.page.context.set_offline(False)
        [whole] = await somebody.wholes()
        assert len(whole["text"]) > read


async def test_what_could_not_be_sent_goes_out_once_and_in_order_after_a_reload(
    browser, service, site
) -> None:
    async with visitor(browser, service, site) as somebody:
        conversation = await somebody.page.evaluate("chat.begin()")
        somebody.proxy.go_away()
        for tokens in (4, 5):
            await somebody.ask(tokens, conversation)
        await somebody.until("chat.client.unsent.length === 2")
        await somebody.page.reload()
        await somebody.until("chat.client.unsent.length === 2")
        somebody.proxy.away = False
        assert len(await somebody.wholes()) == 2
        path = f"{service.url}/api/v1/conversations/{conversation}/messages"
        stored = (await (await somebody.page.context.request.get(path)).json())["items"]
        assert [message["content"] for message in stored if message["role"] == "user"] == [
            "[[tokens=4]] Go on",
            "[[tokens=5]] Go on",
        ]


async def test_a_reload_in_mid_answer_reads_it_again_from_the_start(browser, service, site) -> None:
    async with visitor(browser, service, site) as somebody:
        await somebody.ask(400)
        await somebody.reads(200)
        generation = await somebody.page.evaluate(
            "chat.client.call('GET', 'generations').then(({ items }) => items[0].id)"
        )
        await somebody.page.reload()
        await somebody.until("true")
        await somebody.page.evaluate("generation => chat.follow(generation)", generation)
        await somebody.reads(200)
        await somebody.wholes()
