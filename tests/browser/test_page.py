"""The chat page in a real browser, in front of a real server."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.person import PATIENCE_MS, SOCKETS
from tests.harness.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "Write 200 words about the sea"
#: Goes on until somebody stops it, however slow the machine.
ENDLESS = "Write 3000 words about the sea"

NO_STORAGE = """
    for (const name of ["localStorage", "sessionStorage"]) {
        Object.defineProperty(window, name, { get() { throw new DOMException("no", "SecurityError"); } });
    }
"""


async def test_an_answer_appears_below_the_message_exactly_as_it_is_stored(visit: Visit) -> None:
    person = await visit()
    await person.ask("Three tips as a list. Some Python code.")
    await expect(person.messages.first).to_have_text("Three tips as a list. Some Python code.")
    await person.sees_what_is_stored()
    question, answer = await person.stored()
    assert (question["role"], answer["role"]) == ("user", "assistant")
    assert question["ref"]
    assert "\n2. **" in answer["content"]
    assert "```python\n" in answer["content"]
    await expect(person.answer.get_by_role("listitem").nth(2)).to_be_visible()
    await expect(person.answer.get_by_role("figure").get_by_role("button", name="Copy code")).to_be_visible()
    await expect(person.messages).to_have_count(2)
    await expect(person.page.get_by_role("status")).to_have_text("Connected")
    assert person.complaints == []


async def test_a_conversation_goes_on_where_the_page_shows_its_end(visit: Visit) -> None:
    person = await visit()
    await person.ask("My favourite colour is teal")
    await person.sees_the_end()
    await person.ask("What is my favourite colour?")
    await person.reads("teal")
    await person.sees_the_end()
    stored = await person.stored()
    assert [message["parent"] for message in stored] == [None, *(message["id"] for message in stored[:-1])]
    await expect(person.messages).to_have_count(4)


async def test_a_reload_in_mid_answer_goes_on_without_losing_or_doubling_a_character(visit: Visit) -> None:
    person = await visit()
    await person.ask(LONG)
    await person.reads_at_least(80)
    await person.page.reload()
    await person.sees_what_is_stored()
    await expect(person.messages).to_have_count(2)


async def test_a_reload_shows_the_running_answer_which_can_still_be_stopped(visit: Visit) -> None:
    person = await visit()
    await person.ask(ENDLESS)
    await person.reads_at_least(80)
    await person.page.reload()
    await person.reads_at_least(300)
    await person.button("Stop").click()
    await person.reads("Stopped.")
    await person.sees_what_is_stored()


async def test_a_lost_connection_is_taken_up_where_it_broke(visit: Visit) -> None:
    person = await visit(SOCKETS)
    await person.ask(ENDLESS)
    await person.reads_at_least(80)
    await person.page.evaluate("sockets.at(-1).close()")
    await person.reads_at_least(len(await person.answer_text.inner_text()) + 200)
    assert await person.page.evaluate("sockets.length") > 1
    await person.button("Stop").click()
    await person.sees_what_is_stored()


async def test_a_turn_interrupted_by_a_reload_is_sent_once(visit: Visit) -> None:
    person = await visit()
    await expect(person.page.get_by_role("status")).to_have_text("Connected")
    # The page goes before it can hear that the turn was accepted.
    await person.page.evaluate(
        """() => {
            const box = document.getElementById("message");
            box.value = "Say hello";
            box.dispatchEvent(new InputEvent("input", { bubbles: true }));
            box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
            location.reload();
        }"""
    )
    await person.page.wait_for_load_state()
    await expect(person.messages.first).to_have_text("Say hello")
    await person.sees_the_end()
    assert [message["role"] for message in await person.stored()] == ["user", "assistant"]
    await expect(person.messages).to_have_count(2)


async def test_stop_ends_the_answer_where_it_is(visit: Visit) -> None:
    person = await visit()
    await person.ask(ENDLESS)
    await person.reads_at_least(60)
    await person.button("Stop").click()
    await person.reads("Stopped.")
    await person.sees_what_is_stored()
    assert (await person.stored())[-1]["status"] == "cancelled"
    await person.page.reload()
    await person.reads("Stopped.")


async def test_without_storage_the_address_tells_which_chat_it_is(visit: Visit) -> None:
    person = await visit(NO_STORAGE)
    await person.ask(LONG)
    await person.reads_at_least(80)
    await person.page.reload()
    await person.sees_what_is_stored()
    assert person.complaints == []


async def test_a_new_chat_begins_empty_and_the_old_one_is_in_the_list(visit: Visit) -> None:
    person = await visit()
    await person.ask("Say: one")
    await person.sees_the_end()
    await person.button("New chat").click()
    await expect(person.messages).to_have_count(0)
    await person.ask("Say: two")
    await person.sees_the_end()
    chats = person.page.get_by_role("navigation").get_by_role("link")
    await expect(chats).to_have_text(["Say: two", "Say: one"])
    await chats.last.click()
    await expect(person.messages).to_have_text(["Say: one", "one"])
    await person.page.go_back()
    await expect(person.messages).to_have_text(["Say: two", "two"])


async def test_text_is_never_markup(visit: Visit) -> None:
    person = await visit()
    await person.ask("Say: <img src=x onerror=alert(1)> **<b>bold</b>**")
    assert await person.sees_the_end() == "<img src=x onerror=alert(1)> <b>bold</b>"
    assert await person.page.locator("article img, article b").count() == 0
    assert person.complaints == []


async def test_whoever_waits_is_told_the_place_in_the_queue(visit: Visit, service: Service) -> None:
    ahead = await service.client.ask(ENDLESS)
    person = await visit()
    await person.ask("Say: my turn")
    await person.reads("Waiting: number 1 in the queue")
    await service.client.cancel(ahead)
    await person.reads("my turn")


async def test_a_failed_answer_keeps_its_text_and_says_what_happened(visit: Visit) -> None:
    person = await visit()
    await person.ask(f"{LONG} [[fault=cut]]")
    await person.reads("The answer broke off")
    await person.sees_what_is_stored()
    await person.page.reload()
    await person.reads("The answer broke off")


async def test_a_message_that_is_too_long_is_told_before_it_is_sent(visit: Visit) -> None:
    person = await visit()
    await expect(person.page.get_by_role("status")).to_have_text("Connected")
    # Two code units each, one character each.
    await person.box.fill("\N{WAVING HAND SIGN}" * 2000)
    await expect(person.page.get_by_text("2,000 of 2,000 characters")).to_be_visible()
    await expect(person.button("Send")).to_be_enabled()
    await person.box.press("End")
    await person.box.press("x")
    await expect(person.page.get_by_text("1 characters too many")).to_be_visible()
    await expect(person.button("Send")).to_be_disabled()
    await person.box.press("Enter")
    await expect(person.messages).to_have_count(0)


async def test_a_paste_of_a_hundred_thousand_characters_is_told_the_limit(visit: Visit) -> None:
    person = await visit()
    await expect(person.status).to_have_text("Connected")
    await person.box.evaluate(
        "(box) => { box.focus(); document.execCommand('insertText', false, 'x'.repeat(100_000)); }"
    )
    await expect(person.page.get_by_text("98,000 characters too many: 2,000 is the limit")).to_be_visible()
    await expect(person.button("Send")).to_be_disabled()


async def test_shift_and_enter_break_the_line(visit: Visit) -> None:
    person = await visit()
    await person.box.fill("Say: one")
    await person.box.press("Shift+Enter")
    await person.box.press_sequentially("two")
    await person.box.press("Enter")
    await person.sees_the_end()
    assert (await person.stored())[0]["content"] == "Say: one\ntwo"


async def test_earlier_messages_come_when_they_are_asked_for(visit: Visit) -> None:
    person = await visit()
    await person.ask("Say: 0")
    await person.sees_the_end()
    api = person.page.context.request
    path = f"/api/v1/conversations/{(await person.page.evaluate('location.hash')).removeprefix('#')}/messages"
    for number in range(1, 26):
        # The stream ends with the answer, so that the next turn has something to follow.
        await api.post(path, data={"content": f"Say: {number}"}, headers={"Accept": "text/event-stream"})
    await person.page.reload()
    await expect(person.messages).to_have_count(50)
    await person.button("Show earlier messages").click()
    await expect(person.messages).to_have_count(52)
    await expect(person.messages.first).to_have_text("Say: 0")
    await expect(person.button("Show earlier messages")).to_have_count(0)


async def test_the_page_follows_the_text_until_the_reader_scrolls_away(visit: Visit) -> None:
    person = await visit(viewport={"width": 390, "height": 500})
    await person.ask(ENDLESS)
    await person.reads_at_least(900)
    await expect(person.button("Latest text")).to_be_hidden()
    log = person.page.get_by_role("log")
    await log.evaluate("log => log.scrollTo(0, 100)")
    await expect(person.button("Latest text")).to_be_visible(timeout=PATIENCE_MS)
    length = len(await person.answer_text.inner_text())
    await person.reads_at_least(length + 200)
    assert await log.evaluate("log => log.scrollTop") == 100
    await person.button("Latest text").click()
    await expect(person.button("Latest text")).to_be_hidden()
    await person.button("Stop").click()
    await person.sees_the_end()
    assert await person.page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_simulated_answers_are_called_so_and_the_way_to_real_ones_is_told(visit: Visit) -> None:
    person = await visit()
    note = person.page.get_by_text("Simulated answers")
    await expect(note).to_be_hidden()
    simulated = {"items": [{"name": "sim-chat:latest"}], "default": "sim-chat:latest", "simulated": True}
    await person.page.route("**/api/v1/models", lambda route: route.fulfill(json=simulated))
    await person.page.reload()
    await note.click()
    await expect(person.page.get_by_text("ollama pull")).to_be_visible()


async def test_it_speaks_portuguese_to_those_who_do(visit: Visit) -> None:
    person = await visit(locale="pt-BR")
    await person.page.get_by_role("textbox", name="Mensagem").fill("Olá")
    await person.button("Enviar").click()
    await expect(person.messages).to_have_count(2)
    await expect(person.page.get_by_role("status")).to_have_text("Conectado")
    assert await person.page.evaluate("document.documentElement.lang") == "pt-BR"
    assert person.complaints == []
