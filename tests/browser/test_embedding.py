"""The chat in pages of somebody else: the examples, in a real browser, on an origin of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.person import PATIENCE_MS, Person
from tests.harness.npm import FRONTEND
from tests.harness.service import Service, service_of
from tests.harness.site import Site, site_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

_EXAMPLES = Path(__file__).parents[2] / "examples"
#: Where the examples expect the server.
_EXPECTED = "127.0.0.1:8000"

Open = Callable[..., Awaitable[Person]]


@pytest.fixture(scope="module")
def site() -> AsyncIterator[Site]:
    with site_of(_EXAMPLES) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(
    page_built: None, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    settings = {"server.public_origins": site.url, "limits.content_characters": 1000}
    async with service_of(tmp_path_factory.mktemp("data"), settings, ("--rate", "200")) as running:
        site.words[_EXPECTED] = running.url.removeprefix("http://")
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_example(browser: Browser, service: Service, site: Site) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_page(name: str, **options: Any) -> Person:
            context = await browser.new_context(base_url=site.url, **options)
            stack.push_async_callback(context.close)
            person = Person(await context.new_page())
            await person.page.goto(f"/{name}")
            # Whoever calls before that is asked who they are first, of which the browser's console complains.
            await expect(person.page.get_by_role("status")).to_have_text("Connected", timeout=PATIENCE_MS)
            return person

        yield open_page


async def answered(person: Person, count: int) -> None:
    """Wait until so many messages are there, and the last one is whole."""
    last = person.page.locator("[data-role]").last
    await expect(person.page.locator("[data-role]")).to_have_count(count, timeout=PATIENCE_MS)
    await expect(last).to_have_attribute("data-state", "completed", timeout=PATIENCE_MS)


@pytest.mark.parametrize("page", ["plain-chat.html", "foreign-page.html"])
async def test_a_page_elsewhere_chats(open_example: Open, page: str) -> None:
    person = await open_example(page)
    await person.ask("[[tokens=30]] Hello")
    await answered(person, 2)
    await person.ask("[[tokens=20]] And then?")
    await answered(person, 4)
    await expect(person.page.get_by_role("status")).to_have_text("Connected")
    assert person.complaints == []


@pytest.mark.parametrize("page", ["plain-chat.html", "foreign-page.html"])
async def test_a_reload_in_mid_answer_loses_nothing(open_example: Open, page: str) -> None:
    person = await open_example(page)
    await person.ask("[[tokens=400]] A long one")
    running = person.page.locator('[data-role="assistant"][data-state="running"]')
    await expect(running).to_contain_text(" ", timeout=PATIENCE_MS)
    await person.page.reload()
    await answered(person, 2)
    assert person.complaints == []


@pytest.mark.parametrize("page", ["plain-chat.html", "foreign-page.html"])
async def test_an_answer_is_stopped(open_example: Open, page: str) -> None:
    person = await open_example(page)
    await person.ask("[[tokens=5000]] A very long one")
    await expect(person.page.locator('[data-state="running"]')).to_be_visible(timeout=PATIENCE_MS)
    await person.button("Stop").click()
    await expect(person.page.locator('[data-state="cancelled"]')).to_contain_text(
        "Stopped.", timeout=PATIENCE_MS
    )


async def test_a_plain_page_says_what_is_too_long_before_it_is_sent(open_example: Open) -> None:
    person = await open_example("plain-chat.html")
    await person.box.fill("x" * 1007)
    message = "textarea => textarea.validationMessage"
    await expect(person.page.locator("textarea:invalid")).to_be_visible()
    assert await person.box.evaluate(message) == "7 characters too many"
    await person.box.press("Enter")
    await expect(person.page.locator("[data-role]")).to_have_count(0)
    await person.ask("[[tokens=3]] short")
    await answered(person, 2)


async def test_the_panel_says_what_is_too_long_before_it_is_sent(open_example: Open) -> None:
    person = await open_example("foreign-page.html")
    await person.box.fill("x" * 1007)
    await expect(person.page.get_by_role("alert")).to_have_text("7 characters too many")
    await person.box.press("Enter")
    await expect(person.messages).to_have_count(0)
    assert await person.box.input_value() == "x" * 1007


async def test_two_tabs_show_one_conversation(open_example: Open) -> None:
    first = await open_example("foreign-page.html")
    await first.ask("[[tokens=5]] From here")
    await answered(first, 2)
    # A second tab of the same visitor, which remembers the same conversation.
    kept = await first.page.evaluate("JSON.stringify(sessionStorage)")
    second = Person(await first.page.context.new_page())
    await second.page.add_init_script(f"Object.assign(sessionStorage, {kept})")
    await second.page.goto("/foreign-page.html")
    await answered(second, 2)
    await second.ask("[[tokens=5]] From there")
    await answered(second, 4)
    await answered(first, 4)
    assert first.complaints == second.complaints == []


async def test_the_panel_shows_the_markdown_of_answers(open_example: Open) -> None:
    person = await open_example("foreign-page.html")
    await person.ask("Show a list and some code.")
    await answered(person, 2)
    await expect(person.answer.locator("li").first).to_be_visible()
    await expect(person.answer.locator("pre code")).to_be_visible()
    await expect(person.answer).not_to_contain_text("```")
    assert person.complaints == []


async def test_a_new_chat_begins_without_what_was_said(open_example: Open) -> None:
    person = await open_example("foreign-page.html")
    await person.ask("[[tokens=3]] Hello")
    await answered(person, 2)
    await person.button("New chat").click()
    await expect(person.messages).to_have_count(0)
    await person.ask("[[tokens=3]] Again")
    await answered(person, 2)
    assert person.complaints == []


async def test_markup_in_answers_stays_text_and_runs_nothing(open_example: Open) -> None:
    person = await open_example("foreign-page.html")
    await person.ask('[[tokens=3]] <img src=x onerror="document.title=1"><script>document.title=2</script>')
    await answered(person, 2)
    assert await person.page.title() == "A shop"
    assert await person.messages.locator("img, script").count() == 0
    assert person.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_the_panel(open_example: Open, scheme: str) -> None:
    person = await open_example(
        "foreign-page.html", color_scheme=scheme, viewport={"width": 390, "height": 800}
    )
    await person.ask("[[tokens=10]] Hello")
    await answered(person, 2)
    await person.page.evaluate((FRONTEND / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = await person.page.evaluate("axe.run('chat-panel', { resultTypes: ['violations'] })")
    assert [(violation["id"], violation["nodes"][0]["target"]) for violation in found["violations"]] == []


async def test_the_panel_takes_its_colours_from_the_page_and_nothing_else(open_example: Open) -> None:
    person = await open_example("foreign-page.html")
    colours = "button => [getComputedStyle(button).backgroundColor, getComputedStyle(button).fontFamily]"
    await person.page.evaluate("document.styleSheets[0].insertRule('button { font-family: fantasy }')")
    colour, font = await person.button("Send").evaluate(colours)
    assert (colour, "fantasy" in font) == ("rgb(107, 63, 160)", False)


async def test_the_panel_is_used_by_keyboard_in_the_language_of_the_reader(open_example: Open) -> None:
    person = await open_example("foreign-page.html", locale="pt-BR")
    await person.page.evaluate("document.documentElement.lang = ''")
    # Put anew, as a page does that moves its parts about.
    await person.page.evaluate("document.body.append(document.querySelector('chat-panel'))")
    await person.page.get_by_role("textbox", name="Mensagem").focus()
    await person.page.keyboard.type("[[tokens=3]] Olá")
    await person.page.keyboard.press("Enter")
    await answered(person, 2)
    await expect(person.page.get_by_role("status")).to_have_text("Conectado")
    assert person.complaints == []


async def test_a_page_that_is_not_allowed_gets_nothing(open_example: Open, site: Site) -> None:
    person = await open_example("plain-chat.html")
    await person.page.goto(site.url.replace("127.0.0.1", "localhost") + "/plain-chat.html")
    await person.page.wait_for_load_state("networkidle")
    assert any("CORS" in complaint for complaint in person.complaints)
    await expect(person.page.get_by_role("status")).to_be_empty()
