"""A running service, and a Chromium for people who look at its page: one of each for all tests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.chromium import launched
from tests.browser.person import Person
from tests.harness.npm import build_page
from tests.harness.service import Service, service_of

#: Opens the page for a new person, with what a browser's context can be given, and a script that runs first.
Visit = Callable[..., Awaitable[Person]]


@pytest.fixture(scope="session")
def page_built() -> None:
    build_page()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def service(page_built: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    # Slow enough to be interrupted, fast enough for a test; one answer at a time, so that others wait.
    settings = {"ollama.slots": 1}
    async with service_of(tmp_path_factory.mktemp("data"), settings, ("--rate", "200")) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright, launched(playwright) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, service: Service) -> AsyncIterator[Visit]:
    async with AsyncExitStack() as stack:

        async def open_page(script: str = "", **options: Any) -> Person:
            context = await browser.new_context(**{"base_url": service.url, **options})
            stack.push_async_callback(context.close)
            if script:
                await context.add_init_script(script)
            person = Person(await context.new_page())
            await person.page.goto("/")
            return person

        yield open_page
