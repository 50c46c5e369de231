"""What a person does on the page, and sees there: by role and name, as it is read out to them."""

import re
from dataclasses import dataclass, field

from playwright.async_api import ConsoleMessage, Error, Locator, Page, expect

#: Milliseconds for what the page is to show, on a slow and busy machine.
PATIENCE_MS = 20_000

#: Lets a test cut the connections that the page has.
SOCKETS = """
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
        constructor(...given) { super(...given); window.sockets.push(this); }
    };
"""


@dataclass
class Person:
    page: Page
    #: What the browser complained about: errors of scripts, refused resources, broken policies.
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._note)
        self.page.on("pageerror", self._note_error)

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def messages(self) -> Locator:
        return self.page.get_by_role("log").get_by_role("article")

    @property
    def answer(self) -> Locator:
        return self.messages.last

    @property
    def answer_text(self) -> Locator:
        return self.answer.locator(".text")

    @property
    def box_of_any_language(self) -> Locator:
        return self.page.locator("#message")

    @property
    def texts(self) -> Locator:
        return self.messages.locator(".text")

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("status")

    @property
    def chats(self) -> Locator:
        return self.page.get_by_role("navigation").get_by_role("link")

    def tool(self, name: str) -> Locator:
        """A button below the newest answer."""
        return self.answer.get_by_role("button", name=name, exact=True)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def another_tab(self) -> "Person":
        """Open the same address once more."""
        other = Person(await self.page.context.new_page())
        await other.page.goto(self.page.url)
        return other

    async def ask(self, text: str) -> None:
        await self.box.fill(text)
        await self.box.press("Enter")

    async def is_heard(self) -> None:
        """Wait until the server has accepted the newest question."""
        question = self.messages.nth(-2)
        await question.get_by_role("button", name="Edit", exact=True).wait_for()

    async def reads(self, words: str) -> None:
        """Wait for words in the newest message."""
        await expect(self.answer).to_contain_text(words, timeout=PATIENCE_MS)

    async def reads_at_least(self, characters: int) -> None:
        """Wait until so much of the newest answer is there, while it is still being made."""
        pattern = re.compile(rf"^[\s\S]{{{characters},}}$")
        await self.answer_text.filter(has_text=pattern).wait_for()
        await expect(self.button("Stop")).to_be_visible()

    async def sees_the_end(self) -> str:
        """Wait until nothing is being made any more; gives the text of the newest message."""
        await expect(self.button("Send")).to_be_visible(timeout=PATIENCE_MS)
        await expect(self.answer).to_have_attribute("aria-busy", "false", timeout=PATIENCE_MS)
        return await self.answer_text.inner_text()

    async def copies(self) -> str:
        """Copy the newest message; gives what is on the clipboard then: its text as it was written."""
        await self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await self.answer.get_by_role("button", name="Copy", exact=True).click()
        return str(await self.page.evaluate("navigator.clipboard.readText()"))

    async def sees_what_is_stored(self) -> str:
        """Wait for the end; its text is what the server has, to the last character."""
        await self.sees_the_end()
        copied = await self.copies()
        assert copied == (await self.stored())[-1]["content"]
        return copied

    async def stored(self) -> list[dict[str, str]]:
        """The messages as the server has them."""
        conversation = (await self.page.evaluate("location.hash")).removeprefix("#")
        answer = await self.page.context.request.get(f"/api/v1/conversations/{conversation}/messages")
        return list((await answer.json())["items"])

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _note_error(self, error: Error) -> None:
        self.complaints.append(str(error))
