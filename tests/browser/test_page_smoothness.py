"""What long answers and long visits cost the page: time in each frame, and memory."""

import json
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from statistics import fmean, quantiles
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, expect

from tests.browser.conftest import Visit
from tests.browser.person import PATIENCE_MS, Person
from tests.browser.scripted import SCRIPTED

pytestmark = pytest.mark.asyncio(loop_scope="session")

LINES = 5_000
#: As many as come between two frames at 200 a second: a busy machine has fewer frames, and no more in each.
TOKENS_A_FRAME = 200 / 60
TOKENS = 600
#: Milliseconds that script, style and layout may take in 95 of 100 frames.
MOST_MS = 8.0
#: An answer whose end takes this many times what its beginning took would not be flat.
FLAT = 1.5


async def test_the_end_of_a_long_answer_is_as_light_as_its_beginning(
    visit: Visit, browser: Browser, record_property: Callable[[str, object], None]
) -> None:
    person = await visit(SCRIPTED)
    await person.ask("Write a long answer")
    await person.is_heard()
    early = await frames(person, browser, 0)
    late = await frames(person, browser, LINES)
    early_p95, late_p95 = (quantiles(times, n=20)[-1] for times in (early, late))
    told = f"{fmean(early):.1f} {early_p95:.1f}, after {LINES} lines {fmean(late):.1f} {late_p95:.1f}"
    record_property("ms of script and layout a frame, mean and p95: at first", told)
    assert late_p95 <= MOST_MS
    assert fmean(late) <= fmean(early) * FLAT + 0.5


async def test_chats_that_were_opened_and_left_take_no_memory(
    visit: Visit, record_property: Callable[[str, object], None]
) -> None:
    person = await visit()
    chats = [await begun(person, f"number {number}") for number in range(5)]
    cdp = await person.page.context.new_cdp_session(person.page)
    await look_at(person, chats, 20)
    before = await held(cdp)
    await look_at(person, chats, 200)
    after = await held(cdp)
    record_property("held after 20 chats, and after 200 more", f"{before} {after}")
    assert after["bytes"] <= before["bytes"] * 1.05 + 200_000
    assert after["nodes"] <= before["nodes"] * 1.05 + 100
    assert after["listeners"] <= before["listeners"] * 1.05 + 20


async def frames(person: Person, browser: Browser, lines: int) -> list[float]:
    """Let the answer grow by so many lines at once, then by tokens; gives what each frame then took."""
    await person.page.evaluate("text => server.write(text)", text_of(lines))
    if lines:
        await expect(person.answer).to_contain_text(f"Line {lines - 1} ", timeout=PATIENCE_MS)
    tokens = [f"{word} " for word in text_of(400).split(" ")][:TOKENS]
    await browser.start_tracing(page=person.page, categories=["devtools.timeline"])
    await person.page.evaluate("([tokens, rate]) => drip(tokens, rate)", [tokens, TOKENS_A_FRAME])
    trace = json.loads(await browser.stop_tracing())
    return times_of(trace["traceEvents"])


def text_of(lines: int) -> str:
    """Markdown of all kinds: paragraphs, lists, code and tables."""
    kinds = [
        "Line {} has *some* `code` and a [link](https://example.org) in a paragraph.\n",
        "- Line {} is an item\n",
        "```python\nLine {} = code\n```\n",
        "| a | b |\n| - | - |\n| Line {} | cell |\n",
    ]
    ends = ("\n" if at % 12 == 11 else "" for at in range(lines))
    return "".join(kinds[at // 12 % 4].format(at) + end for at, end in enumerate(ends))


#: What a page does in a frame before it is painted.
_WORK = {
    "FunctionCall",
    "TimerFire",
    "FireAnimationFrame",
    "RunMicrotasks",
    "EventDispatch",
    "FireIdleCallback",
}
_WORK |= {"UpdateLayoutTree", "Layout", "PrePaint", "ParseHTML", "MinorGC", "MajorGC"}


def times_of(events: list[dict[str, Any]]) -> list[float]:
    """Sum up the work from frame to frame, by the thread's own clock: others use the machine too."""
    by_thread: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("ph") == "X" and event["name"] in _WORK:
            by_thread[event["pid"], event["tid"]].append(event)
    main = max(by_thread.values(), key=len)
    main.sort(key=lambda event: (event["ts"], -event["dur"]))
    starts = [event["ts"] for event in main if event["name"] == "FireAnimationFrame"]
    outermost, until = [], 0.0
    for event in main:
        if event["ts"] >= until:
            outermost.append(event)
            until = event["ts"] + event["dur"]
    return [
        sum(event.get("tdur", event["dur"]) for event in outermost if start <= event["ts"] < end) / 1000
        for start, end in pairwise(starts)
    ]


async def begun(person: Person, text: str) -> list[str]:
    """Begin a chat; gives its address and the answer in it."""
    await person.button("New chat").click()
    await person.ask(f"Say: {text}")
    await person.sees_the_end()
    return [str(await person.page.evaluate("location.hash")), text]


async def look_at(person: Person, chats: list[list[str]], times: int) -> None:
    """Open one after the other, each as soon as the one before is there."""
    await person.page.evaluate(
        """async ([chats, times]) => {
            const shown = () => document.querySelector("[role=log] .assistant .text")?.textContent.trim();
            for (let at = 0; at < times; at++) {
                const [address, text] = chats[at % chats.length];
                location.hash = address;
                while (shown() !== text) await new Promise(requestAnimationFrame);
            }
        }""",
        [chats, times],
    )


async def held(cdp: CDPSession) -> dict[str, int]:
    for _ in range(3):
        await cdp.send("HeapProfiler.collectGarbage")
    counters = await cdp.send("Memory.getDOMCounters")
    heap = await cdp.send("Runtime.getHeapUsage")
    return {
        "bytes": int(heap["usedSize"]),
        "nodes": counters["nodes"],
        "listeners": counters["jsEventListeners"],
    }
