"""What an answer can't do to whoever reads it, however it is written."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Tells what the page's policy had to stop: nothing may get that far.
POLICY = """
    window.stopped = [];
    addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sample }) =>
        stopped.push(`${violatedDirective} ${blockedURI} ${sample}`));
"""
#: Beside each frame that comes, one that is none.
NOISE = """
    const noise = ["{", "[]", "null", '{"type":"delta"}', '{"type":"?","generation":"gen_x"}', "\\u0000"];
    window.WebSocket = class extends WebSocket {
        constructor(...given) {
            super(...given);
            for (const data of noise) this.addEventListener(
                "message", () => this.dispatchEvent(new MessageEvent("message", { data })), { once: true });
        }
    };
"""
ATTACK = """
<script>window.ran = "script"</script>
<img src=x onerror="window.ran = 'onerror'">
<svg onload="window.ran = 'svg'"><script>window.ran = "svg script"</script></svg>
<a href="javascript:window.ran = 'address'">press me</a>
[press](javascript:window.ran='markdown') [data](data:text/html,x)
![picture](https://example.org/tracker.png) ![x](javascript:window.ran=1)
<iframe srcdoc="<script>parent.ran = 'frame'</script>"></iframe> <style>body { display: none }</style>
<form action=https://example.org><input name=x></form>
<math><mtext></form><form><mglyph><style></math><img src onerror=window.ran=2>
```html"><img src=x onerror=window.ran=3>
<script>window.ran = "code"</script>
```
| <img src=x onerror=window.ran=4> | b |
| - | - |
| `<script>` | <svg/onload=window.ran=5> |

[ref]: javascript:window.ran=6
[ref] <https://example.org/?q=<script>> $<img src=x onerror=window.ran=7>$ x<sub onclick=window.ran=8>y</sub>
"""


async def test_nothing_that_an_answer_holds_runs_or_loads(visit: Visit) -> None:
    person = await visit(POLICY)
    requests: list[str] = []
    person.page.on("request", lambda request: requests.append(request.url))
    await person.ask(f"Say: {ATTACK}")
    await person.sees_what_is_stored()
    await expect(person.answer).to_contain_text("<script>window.ran")
    assert await person.answer_text.locator("script, img, svg, iframe, style, form, input, math").count() == 0
    addresses = await person.answer_text.get_by_role("link").evaluate_all(
        "links => links.map(({ href }) => href)"
    )
    assert all(address.startswith("https://example.org/") for address in addresses)
    for _ in range(2):
        for link in await person.answer_text.locator("a:not([href])").all():
            await link.click()
        assert await person.page.evaluate("[window.ran, ...stopped]") == [None]
        await person.page.reload()
        await expect(person.answer).to_contain_text("<script>window.ran")
    assert {url for url in requests if not url.startswith(str(await person.page.evaluate("origin")))} == set()
    assert person.complaints == []


async def test_names_and_questions_are_text_too(visit: Visit) -> None:
    person = await visit(POLICY)
    await person.ask("<img src=x onerror=window.ran=1>")
    await person.sees_the_end()
    await expect(person.texts.first).to_have_text("<img src=x onerror=window.ran=1>")
    await expect(person.chats).to_have_count(1)
    assert await person.page.evaluate("[window.ran, ...stopped]") == [None]
    assert person.complaints == []


async def test_the_page_asks_nobody_but_its_server_for_anything(visit: Visit) -> None:
    person = await visit(POLICY)
    requests: list[str] = []
    person.page.on("request", lambda request: requests.append(request.url))
    await person.page.reload()
    await person.ask("Some Python code, a table and a list.")
    await person.sees_the_end()
    await expect(person.answer.locator(".hljs-keyword").first).to_be_visible()
    origin = str(await person.page.evaluate("origin"))
    assert {url for url in requests if not url.startswith(origin)} == set()
    assert await person.page.evaluate("stopped") == []


async def test_a_broken_or_foreign_frame_is_passed_over(visit: Visit) -> None:
    person = await visit(NOISE)
    await person.ask("Say: as ever")
    await person.sees_what_is_stored()
    assert person.complaints == []
