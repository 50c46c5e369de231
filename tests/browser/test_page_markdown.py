"""Markdown on the page: what grows piece by piece ends as what came whole, in a real browser."""

import random

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.person import Person
from tests.browser.scripted import SCRIPTED

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = r"""# One

Two *with* `code`
and a line, [a link](https://example.org) and https://example.org/x.

### Deep

- one
- two
  - deep

    more of it
- three

1. first

   ```sh
   make run
   ```

2. second

```python
def f():

    return "```"
```
after `x`

~~~
no language
~~~

    indented

| a | b |
|---|--:|
| 1 | 2 |
| 3 | **4** |

> quoted
> > deeper

Title
-----
Euler: $e^{i\pi} + 1 = 0$ and \(a_1 * b_1 * c\). It costs $5 or $6.

$$
\sum_i a_i
$$

<b>not bold</b> H<sub>2</sub>O &copy; &amp; <x>

- [ ] open
- [x] done

```js
const a = 1;

const b
"""

#: The nodes without the boxes that only group them.
NODES = """() => {
    const text = document.querySelector(".assistant .text").cloneNode(true);
    const boxes = text.querySelectorAll(".section, .tail, code > span");
    for (const box of boxes) box.replaceWith(...box.childNodes);
    text.normalize();
    return text.innerHTML.replace(/>\\n+/g, ">").replace(/\\n+</g, "<");
}"""


async def test_a_text_that_grows_ends_as_one_that_came_whole(visit: Visit, rng: random.Random) -> None:
    person = await visit(SCRIPTED)
    whole = await shown(person, [TEXT])
    for _ in range(2):
        assert await shown(person, pieces_of(TEXT, rng)) == whole


async def test_what_is_shown_is_what_was_meant(visit: Visit) -> None:
    person = await visit(SCRIPTED)
    await shown(person, [TEXT])
    answer = person.answer_text
    levels = "headings => headings.map(({ tagName }) => tagName)"
    assert await answer.get_by_role("heading").evaluate_all(levels) == ["H2", "H3", "H3"]
    await expect(answer.locator(".maths")).to_have_text(
        [r"$e^{i\pi} + 1 = 0$", r"\(a_1 * b_1 * c\)", "$$\n\\sum_i a_i\n$$"]
    )
    await expect(answer.get_by_role("figure")).to_have_count(5)
    await expect(answer.get_by_role("figure").nth(1).locator("code")).to_have_text(
        'def f():\n\n    return "```"\n'
    )
    await expect(answer.get_by_role("table").get_by_role("row")).to_have_count(3)
    await expect(answer.get_by_role("cell", name="2", exact=True)).to_have_css("text-align", "right")
    await expect(answer).to_contain_text("<b>not bold</b> H2O © & <x>")
    await person.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await answer.get_by_role("button", name="Copy code").nth(1).click()
    assert await person.page.evaluate("navigator.clipboard.readText()") == 'def f():\n\n    return "```"'


async def test_blocks_that_are_over_stay_as_they_are_while_the_answer_goes_on(visit: Visit) -> None:
    person = await visit(SCRIPTED)
    await person.ask("Something long")
    await person.is_heard()
    await person.page.evaluate("server.write('One.\\n\\nTwo')")
    await expect(person.answer_text).to_contain_text("Two")
    await person.page.evaluate("document.querySelector('.assistant p').id = 'kept'")
    items = "".join(f"{number}. item {number}\\n" for number in range(1, 101))
    await person.page.evaluate(f"server.write(' more.\\n\\n{items}')")
    await expect(person.answer.get_by_role("listitem")).to_have_count(100)
    await expect(person.page.locator("#kept")).to_have_text("One.")
    await person.page.evaluate("document.querySelector('.assistant li').id = 'item'")
    await person.page.evaluate("server.write('101. item 101\\n'), server.end()")
    await expect(person.answer.get_by_role("listitem")).to_have_count(101)
    await expect(person.page.locator("#item")).to_have_text("item 1")
    numbers = "lists => lists.map((list) => `${list.start} ${list.firstElementChild.textContent.trim()}`)"
    for begun in await person.answer.locator("ol").evaluate_all(numbers):
        number, _, text = begun.partition(" ")
        assert text == f"item {number}"


def pieces_of(text: str, rng: random.Random) -> list[str]:
    ends = sorted(rng.sample(range(1, len(text)), 150))
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


async def shown(person: Person, pieces: list[str]) -> str:
    await person.button("New chat").click()
    await person.ask("Something")
    await person.is_heard()
    await person.page.evaluate("pieces => write(pieces)", pieces)
    await person.sees_the_end()
    await expect(person.answer.locator(".hljs-keyword").last).to_be_visible()
    return str(await person.page.evaluate(NODES))
