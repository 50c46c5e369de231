"""Takes pictures of the page's main states, light and dark, on a desk and on a phone: `make screenshots`."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright, expect

from tests.browser.chromium import launched
from tests.browser.person import PATIENCE_MS, Person
from tests.harness.npm import FRONTEND, build_page
from tests.harness.service import service_of

_ROOT = FRONTEND.parent
_FOLDER = _ROOT / "screenshots"
#: The two that the README shows.
_SHOWN = {"desk-light-answer": "page.png", "phone-dark-chat": "phone.png"}
_SIZES: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2, "has_touch": True},
}

Picture = Callable[[str], Awaitable[None]]


async def main() -> None:
    build_page()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir()
    with tempfile.TemporaryDirectory() as data:
        async with (
            service_of(Path(data), {}, ("--rate", "400")) as service,
            async_playwright() as playwright,
            launched(playwright) as browser,
        ):
            for size in _SIZES:
                for scheme in ("light", "dark"):
                    await _take(browser, service.url, size, scheme)
    for name, shown in _SHOWN.items():
        shutil.copy(_FOLDER / f"{name}.png", _ROOT / "docs" / shown)


async def _take(browser: Browser, url: str, size: str, scheme: Any) -> None:
    context = await browser.new_context(
        base_url=url, color_scheme=scheme, reduced_motion="reduce", **_SIZES[size]
    )
    person = Person(await context.new_page())
    await person.page.goto("/")
    await expect(person.status).to_have_text("Connected", timeout=PATIENCE_MS)

    async def picture(name: str) -> None:
        await person.page.wait_for_timeout(400)
        await person.page.screenshot(path=_FOLDER / f"{size}-{scheme}-{name}.png")

    await _first_visit(person, picture)
    await _answers(person, picture)
    await _branches(person, picture)
    await _trouble(person, picture)
    await context.close()


async def _first_visit(person: Person, picture: Picture) -> None:
    await person.page.route("**/api/v1/models", _simulated)
    await person.page.reload()
    await person.page.get_by_text("Simulated answers").click()
    await picture("welcome")
    await person.page.unroute("**/api/v1/models")
    await person.page.reload()


async def _answers(person: Person, picture: Picture) -> None:
    for question in ("Plan a weekend in Porto as a list", "What is a token?", "A haiku about rivers"):
        await person.ask(question)
        await person.sees_the_end()
        await person.button("New chat").click()
    await person.ask("Show me some Python code and a small table.")
    await person.sees_the_end()
    await expect(person.answer.locator(".hljs-keyword").first).to_be_visible()
    await picture("answer")
    await person.ask("Three tips as a list for writing good tests")
    await person.sees_the_end()
    await picture("chat")
    await person.ask("Write 2000 words about the sea")
    await person.reads_at_least(300)
    await picture("writing")
    await person.ask("Say: and then this")
    await person.reads("Will be sent")
    await picture("waiting")
    await person.button("Stop").click()
    await person.box.fill("")
    await person.button("Stop").click()
    await person.sees_the_end()


async def _branches(person: Person, picture: Picture) -> None:
    await person.tool("Answer anew").click()
    await person.button("Stop").click()
    await person.sees_the_end()
    await picture("stopped")
    await person.messages.nth(-2).get_by_role("button", name="Edit", exact=True).click()
    await picture("editing")
    await person.page.keyboard.press("Escape")
    await person.button("What the model sees").click()
    await expect(person.page.get_by_text("of 4,000 tokens")).to_be_visible()
    await picture("context")
    await person.page.keyboard.press("Escape")
    chats = person.button("Chats")
    if await chats.is_visible():
        await chats.click()
    await person.page.get_by_role("navigation").get_by_role("button", name="More about").first.click()
    await picture("menu")
    await person.page.get_by_role("menuitem", name="Delete").click()
    await picture("undo")
    if await chats.is_visible():
        await person.page.keyboard.press("Escape")


async def _trouble(person: Person, picture: Picture) -> None:
    await person.button("New chat").click()
    await person.ask("Write 60 words about the sea [[fault=cut]]")
    await expect(person.button("Try again")).to_be_visible(timeout=PATIENCE_MS)
    await picture("failed")
    await person.box.fill("word " * 500)
    await picture("too-long")
    await person.box.fill("")
    await person.page.context.set_offline(offline=True)
    await person.page.evaluate("dispatchEvent(new Event('online'))")
    await person.ask("Are you still there?")
    await expect(person.status).to_have_text("Connection lost, trying again…", timeout=PATIENCE_MS)
    await picture("offline")


async def _simulated(route: Any) -> None:
    answer = await route.fetch()
    await route.fulfill(json={**await answer.json(), "simulated": True})


if __name__ == "__main__":
    asyncio.run(main())
