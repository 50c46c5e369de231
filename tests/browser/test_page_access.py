"""The page for everybody: by keyboard, read out, on a phone, in the dark, in Portuguese."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.person import PATIENCE_MS, Person
from tests.harness.npm import FRONTEND

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
RICH = "Some Python code, a table and three tips as a list."
#: Collects what is read out.
SAID = """
    window.said = [];
    const listen = (changes) => {
        for (const { target } of changes) {
            const region = (target.nodeType === 3 ? target.parentElement : target)?.closest("[aria-live]");
            const text = region?.textContent.trim();
            if (text && region.ariaLive !== "off") said.push(text);
        }
    };
    const all = { subtree: true, childList: true, characterData: true };
    addEventListener("DOMContentLoaded", () => new MutationObserver(listen).observe(document.body, all));
"""
PHONE = {"viewport": {"width": 390, "height": 844}}


@pytest.mark.parametrize(
    "options",
    [{}, {**PHONE, "color_scheme": "dark", "locale": "pt-BR"}],
    ids=["wide-light-english", "phone-dark-portuguese"],
)
async def test_axe_finds_nothing_in_any_state(visit: Visit, options: dict[str, Any]) -> None:
    # A script that is brought in from outside is what the policy is there to stop.
    person = await visit(bypass_csp=True, **options)
    assert await findings(person) == []
    await person.box_of_any_language.fill(RICH)
    await person.box_of_any_language.press("Enter")
    await expect(person.answer).to_have_attribute("aria-busy", "true")
    assert await findings(person) == []
    await expect(person.answer).to_have_attribute("aria-busy", "false", timeout=PATIENCE_MS)
    await expect(person.answer.locator(".hljs-keyword").first).to_be_visible()
    assert await findings(person) == []
    await person.answer.get_by_role("button").last.click()
    await expect(person.page.get_by_role("dialog")).to_be_visible()
    assert await findings(person) == []
    await person.page.keyboard.press("Escape")
    await person.messages.first.get_by_role("button").last.click()
    await expect(person.messages.first.get_by_role("textbox")).to_be_visible()
    assert await findings(person) == []


async def test_everything_can_be_done_by_keyboard(visit: Visit) -> None:
    person = await visit()
    press = person.page.keyboard.press
    await press("Tab")
    await expect(person.button("Skip to the message")).to_be_focused()
    await press("Enter")
    await expect(person.box).to_be_focused()
    await person.page.keyboard.type("Write a poem about tea")
    await press("Enter")
    await person.sees_the_end()
    await back_to(person, person.tool("Answer anew"))
    await press("Enter")
    await expect(person.answer.get_by_text("2 of 2")).to_be_visible(timeout=PATIENCE_MS)
    await person.sees_the_end()
    await person.box.focus()
    await back_to(person, person.tool("Previous version"))
    await press("Enter")
    await expect(person.answer.get_by_text("1 of 2")).to_be_visible()
    await person.box.focus()
    await back_to(person, person.page.get_by_role("navigation").get_by_role("button", name="More about"))
    await press("Enter")
    await expect(person.page.get_by_role("menuitem", name="Rename")).to_be_focused()
    await press("ArrowDown")
    await expect(person.page.get_by_role("menuitem", name="Export as Markdown")).to_be_focused()
    await press("Escape")
    await expect(
        person.page.get_by_role("navigation").get_by_role("button", name="More about")
    ).to_be_focused()
    await press("Control+Shift+O")
    await expect(person.messages).to_have_count(0)
    await expect(person.box).to_be_focused()
    await person.page.keyboard.type("Write 3000 words about the sea")
    await press("Enter")
    await person.reads_at_least(40)
    await press("Escape")
    await person.reads("Stopped.")


async def test_an_answer_is_read_out_once_and_whole(visit: Visit) -> None:
    person = await visit(SAID)
    await person.ask("Write 60 words about the sea")
    text = await person.sees_the_end()
    await expect(person.page.get_by_text("The answer: ")).to_have_text(f"The answer: {text}")
    said = await person.page.evaluate("said.filter((text, at) => text && text !== said[at - 1])")
    assert said == ["The answer is being written.", f"The answer: {text}"]


async def test_on_a_phone_nothing_is_cut_off_and_the_chats_come_in_from_the_side(visit: Visit) -> None:
    person = await visit(**PHONE)
    await person.ask(RICH)
    await person.sees_the_end()
    assert await person.page.evaluate("document.documentElement.scrollWidth") <= 390
    navigation = person.page.get_by_role("navigation")
    await expect(navigation).to_be_hidden()
    await person.button("Chats").click()
    await expect(navigation.get_by_role("link")).to_have_count(1)
    await person.page.keyboard.press("Escape")
    await expect(navigation).to_be_hidden()
    await person.button("New chat").click()
    await expect(person.messages).to_have_count(0)


async def back_to(person: Person, wanted: Locator) -> None:
    """Press Shift+Tab until it has the focus, as a person would."""
    for _ in range(40):
        if await wanted.evaluate("wanted => wanted === document.activeElement"):
            return
        await person.page.keyboard.press("Shift+Tab")
    raise AssertionError(f"{wanted} can't be reached by keyboard")


async def findings(person: Person) -> list[str]:
    await person.page.evaluate("window.axe || 0") or await person.page.add_script_tag(path=Path(AXE))
    found = await person.page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{finding['id']}: {finding['help']}: {finding['nodes'][0]['html']}"
        for finding in found["violations"]
    ]
