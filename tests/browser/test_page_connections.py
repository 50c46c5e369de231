"""The chat page behind proxies, without a network, and in front of a server that comes and goes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.person import PATIENCE_MS, SOCKETS, Person
from tests.harness.proxy import Proxy, proxy_to
from tests.harness.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "Write 300 words about the sea"


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(service: Service) -> AsyncIterator[Proxy]:
    async with proxy_to(service.url, blocks_websockets=True) as proxy:
        yield proxy


async def test_where_a_proxy_blocks_websockets_the_answer_comes_as_events(visit: Visit, proxy: Proxy) -> None:
    person = await visit(base_url=proxy.url)
    await person.ask(LONG)
    await person.reads_at_least(80)
    await expect(person.status).to_have_text("Connected without WebSocket")
    await person.sees_what_is_stored()
    assert "sse" in proxy.readers
    assert "longpoll" not in proxy.readers


async def test_where_a_proxy_holds_events_back_the_answer_comes_by_long_poll(
    visit: Visit, proxy: Proxy
) -> None:
    proxy.holds_events = True
    person = await visit(base_url=proxy.url)
    await person.ask("Write 900 words about the sea")
    await person.reads_at_least(80)
    assert proxy.readers[-1] == "longpoll"
    await person.sees_what_is_stored()


async def test_a_server_that_dies_in_mid_answer_and_comes_back_goes_on_with_it(
    visit: Visit, service: Service
) -> None:
    person = await visit()
    await person.ask(LONG)
    await person.reads_at_least(80)
    await service.server.kill()
    await expect(person.status).to_have_text("Connection lost, trying again…", timeout=PATIENCE_MS)
    await service.server.restart()
    await person.sees_what_is_stored()
    assert (await person.stored())[-1]["status"] == "completed"
    await expect(person.messages).to_have_count(2)


async def test_a_message_written_offline_is_marked_and_goes_out_once_when_the_network_is_back(
    visit: Visit,
) -> None:
    person = await visit(SOCKETS)
    await person.ask("Say: first")
    await person.sees_the_end()
    await go_offline(person)
    await person.ask("Say: second")
    await expect(person.messages).to_have_count(4)
    await person.reads("Will be sent when the connection is back")
    await person.page.context.set_offline(offline=False)
    await expect(person.answer_text).to_have_text("second", timeout=PATIENCE_MS)
    await person.sees_what_is_stored()
    await expect(person.messages).to_have_count(4)
    assert len(await person.stored()) == 4


async def test_an_answer_that_went_on_without_the_network_is_whole_afterwards(visit: Visit) -> None:
    person = await visit(SOCKETS)
    await person.ask(LONG)
    await person.reads_at_least(80)
    await go_offline(person)
    await person.page.context.set_offline(offline=False)
    await person.sees_what_is_stored()
    await expect(person.messages).to_have_count(2)


async def test_two_tabs_on_one_conversation_show_the_same(visit: Visit) -> None:
    person = await visit()
    await person.ask("Say: one")
    await person.sees_the_end()
    other = await person.another_tab()
    await expect(other.messages).to_have_count(2)
    await other.ask(LONG)
    await expect(person.messages).to_have_count(4)
    await person.reads_at_least(80)
    assert await person.sees_what_is_stored() == await other.sees_what_is_stored()
    await person.ask("Say: three")
    await expect(other.messages).to_have_count(6)
    await expect(other.answer_text).to_have_text("three", timeout=PATIENCE_MS)


async def go_offline(person: Person) -> None:
    await person.page.context.set_offline(offline=True)
    # A connection that is open doesn't hear of that for long.
    await person.page.evaluate("sockets.at(-1).dispatchEvent(new CloseEvent('close', { code: 1006 }))")
    await expect(person.status).to_have_text("Connection lost, trying again…", timeout=PATIENCE_MS)
