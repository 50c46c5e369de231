"""The browser that the tests use: Debian's Chromium, without what it does on its own."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Playwright

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def launched(playwright: Playwright) -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path, "This needs a real browser; install it: apt-get install chromium"
    browser = await playwright.chromium.launch(executable_path=path, args=_FLAGS)
    try:
        yield browser
    finally:
        await browser.close()
