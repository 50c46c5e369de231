"""What a person does with chats and their branches on the page."""

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.person import PATIENCE_MS, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_made_anew_stands_beside_the_first_and_arrows_lead_between_them(visit: Visit) -> None:
    person = await visit()
    await person.ask("Write a poem about tea")
    first = await person.sees_what_is_stored()
    await person.tool("Answer anew").click()
    await expect(person.answer.get_by_text("2 of 2")).to_be_visible(timeout=PATIENCE_MS)
    await person.sees_what_is_stored()
    await person.tool("Previous version").click()
    await expect(person.answer.get_by_text("1 of 2")).to_be_visible()
    assert await person.copies() == first
    await expect(person.messages).to_have_count(2)
    await person.page.reload()
    await expect(person.answer.get_by_text("1 of 2")).to_be_visible()


async def test_an_edited_question_begins_a_branch_and_the_one_before_stays(visit: Visit) -> None:
    person = await visit()
    for word in ("one", "two"):
        await person.ask(f"Say: {word}")
        await person.sees_the_end()
    first = person.messages.first
    await first.get_by_role("button", name="Edit", exact=True).click()
    box = first.get_by_role("textbox", name="Edit your message")
    await expect(box).to_be_focused()
    await box.fill("Say: three")
    await box.press("Enter")
    await expect(person.messages).to_have_count(2)
    await expect(person.answer_text).to_have_text("three", timeout=PATIENCE_MS)
    await person.sees_the_end()
    await first.get_by_role("button", name="Previous version").click()
    await expect(person.texts).to_have_text(["Say: one", "one", "Say: two", "two"])
    await first.get_by_role("button", name="Next version").click()
    await expect(person.texts).to_have_text(["Say: three", "three"])


async def test_editing_can_be_given_up(visit: Visit) -> None:
    person = await visit()
    await person.ask("Say: one")
    await person.sees_the_end()
    edit = person.messages.first.get_by_role("button", name="Edit", exact=True)
    await edit.click()
    await person.page.keyboard.press("Escape")
    await expect(person.texts).to_have_text(["Say: one", "one"])
    await expect(edit).to_be_focused()


async def test_a_failed_answer_can_be_tried_again(visit: Visit) -> None:
    person = await visit()
    await person.ask("Write 30 words about the sea [[fault=error-line]]")
    await expect(person.button("Try again")).to_be_visible(timeout=PATIENCE_MS)
    await person.button("Try again").click()
    await expect(person.answer.get_by_text("2 of 2")).to_be_visible(timeout=PATIENCE_MS)


async def test_a_message_sent_while_an_answer_is_made_waits_for_its_end(visit: Visit) -> None:
    person = await visit()
    await person.ask("Write 3000 words about the sea")
    await person.reads_at_least(40)
    await person.ask("Say: and then")
    await person.reads("Will be sent when the answer before it is there")
    # It ends when this test says so, however slow the machine is.
    running = (await person.stored())[1]["generation"]
    await person.page.context.request.post(f"/api/v1/generations/{running}/cancel")
    await expect(person.answer_text).to_have_text("and then", timeout=PATIENCE_MS)
    await person.sees_the_end()
    stored = await person.stored()
    assert [message["role"] for message in stored] == ["user", "assistant"] * 2
    assert stored[2]["parent"] == stored[1]["id"]


async def test_a_message_that_is_not_sent_yet_can_be_taken_back(visit: Visit) -> None:
    person = await visit()
    await person.ask("Write 3000 words about the sea")
    await person.reads_at_least(40)
    await person.ask("Say: too early")
    await person.reads("Will be sent when the answer before it is there")
    await person.button("Stop").click()
    await expect(person.messages).to_have_count(2)
    await expect(person.box).to_have_value("Say: too early")
    await person.box.fill("")
    await person.button("Stop").click()
    await person.reads("Stopped.")


async def test_a_chat_gets_the_name_it_is_given(visit: Visit) -> None:
    person = await visit()
    await begin(person, "one")
    await (await menu(person)).get_by_role("menuitem", name="Rename").click()
    title = person.page.get_by_role("textbox", name="Title")
    await title.fill("A <b>better</b> name")
    await title.press("Enter")
    await expect(person.chats).to_have_text(["A <b>better</b> name"])
    await expect(person.page.get_by_role("heading", level=1)).to_have_text("A <b>better</b> name")
    await person.page.reload()
    await expect(person.chats).to_have_text(["A <b>better</b> name"])


async def test_a_deleted_chat_can_be_had_back_for_a_while(visit: Visit) -> None:
    person = await visit()
    await begin(person, "one")
    await (await menu(person)).get_by_role("menuitem", name="Delete").click()
    await expect(person.chats).to_have_count(0)
    await expect(person.messages).to_have_count(0)
    await person.button("Undo").click()
    await person.chats.click()
    await expect(person.texts).to_have_text(["Say: one", "one"])


async def test_a_chat_is_deleted_once_nobody_can_take_that_back(visit: Visit) -> None:
    person = await visit()
    await person.page.clock.install()
    await begin(person, "one")
    await (await menu(person)).get_by_role("menuitem", name="Delete").click()
    await expect(person.button("Undo")).to_be_visible()
    async with person.page.expect_response(lambda response: response.request.method == "DELETE") as gone:
        await person.page.clock.run_for(5_100)
    assert (await gone.value).status == 204
    await person.page.reload()
    await expect(person.page.get_by_text("Your chats will be listed here.")).to_be_visible()


async def test_chats_are_found_by_what_was_said_in_them(visit: Visit) -> None:
    person = await visit()
    for word in ("zebra", "marmalade"):
        await begin(person, word)
        await person.button("New chat").click()
    search = person.page.get_by_role("searchbox", name="Search chats")
    await search.fill("marma")
    await expect(person.chats).to_have_count(1)
    await person.chats.click()
    await expect(person.texts).to_have_text(["Say: marmalade", "marmalade"])
    await search.fill("nowhere to be found")
    await expect(person.page.get_by_text("No chat has these words.")).to_be_visible()
    await search.fill("")
    await expect(person.chats).to_have_count(2)


async def test_a_chat_can_be_taken_away(visit: Visit) -> None:
    person = await visit()
    await begin(person, "one")
    async with person.page.expect_download() as download:
        await (await menu(person)).get_by_role("menuitem", name="Export as Markdown").click()
    assert "one" in (await (await download.value).path()).read_text()


async def test_the_model_that_is_chosen_answers(visit: Visit) -> None:
    person = await visit()
    choice = person.page.get_by_role("combobox", name="Model")
    await expect(choice.locator("option").nth(1)).to_be_attached()
    await choice.select_option("sim-tiny:latest")
    await begin(person, "one")
    assert (await person.stored())[-1]["model"] == "sim-tiny:latest"
    await person.page.reload()
    await expect(choice).to_have_value("sim-tiny:latest")


async def test_what_the_model_saw_is_told_and_the_summary_can_be_put_in_other_words(visit: Visit) -> None:
    person = await visit()
    await begin(person, "one")
    await person.tool("What the model saw").click()
    panel = person.page.get_by_role("dialog", name="What the model saw")
    await expect(panel.get_by_text("of 4,000 tokens")).to_be_visible()
    await expect(panel.get_by_text("The model itself counted")).to_be_visible()
    await person.page.keyboard.press("Escape")
    await expect(panel).to_have_count(0)
    await person.button("What the model sees").click()
    summary = person.page.get_by_role("textbox", name="Summary")
    await summary.fill("They like zebras.")
    await person.button("Save").click()
    await expect(person.page.get_by_text("Saved.")).to_be_visible()
    await person.page.reload()
    await person.button("What the model sees").click()
    await expect(summary).to_have_value("They like zebras.")


async def begin(person: Person, word: str) -> None:
    await person.ask(f"Say: {word}")
    await person.sees_the_end()
    await expect(person.chats.first).to_be_visible()


async def menu(person: Person) -> Locator:
    """Open the menu of the chat on the page."""
    await person.page.get_by_role("navigation").get_by_role("button", name="More about").first.click()
    return person.page.get_by_role("menu")
