"""HTML that can't be broken out of: elements are made by functions, and plain text is always escaped."""

import re
from html import escape
from itertools import groupby

VOID = frozenset({"link", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def join(*children: str | None) -> Markup:
    return Markup("".join(_html(child) for child in children if child is not None))


def tag(name: str, /, *children: str | None, **attributes: str | None) -> Markup:
    """Make an element; `class_` is written class, and aria_label aria-label."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def _html(child: str) -> str:
    return child if isinstance(child, Markup) else escape(child)


_SPANS = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\[(?P<text>[^\]]+)\]\((?P<url>[/#][^)\s]*)\)"
)


def inline(text: str) -> Markup:
    """Turn `code`, **strong** and [links](/within-this-server) of one paragraph into elements."""
    parts: list[str] = []
    end = 0
    for found in _SPANS.finditer(text):
        parts += [text[end : found.start()], _span(found)]
        end = found.end()
    return join(*parts, text[end:])


def _span(found: re.Match[str]) -> Markup:
    if found["code"]:
        return tag("code", found["code"])
    if found["strong"]:
        return tag("strong", found["strong"])
    return tag("a", found["text"], href=found["url"])


def prose(text: str) -> Markup:
    """Turn the Markdown that descriptions need into elements: paragraphs, lists, fenced code, spans."""
    blocks: list[str] = []
    for at, part in enumerate(re.split(r"^```\w*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)):
        # Splitting by a group puts what is inside the fences at odd places.
        blocks += [code_block(part.rstrip("\n"))] if at % 2 else [_block(each) for each in _paragraphs(part)]
    return join(*blocks)


def code_block(content: str) -> Markup:
    # Focusable, so that a keyboard can scroll it.
    return tag("pre", tag("code", content), tabindex="0")


def _paragraphs(text: str) -> list[list[str]]:
    """Split at empty lines, and where a list begins."""
    found: list[list[str]] = []
    for filled, lines in groupby(text.split("\n"), key=lambda line: bool(line.strip())):
        if filled:
            for is_item, same in groupby(lines, key=lambda line: line.startswith(("- ", "  "))):
                del is_item
                found.append(list(same))
    return found


def _block(lines: list[str]) -> Markup:
    if not lines[0].startswith("- "):
        return tag("p", inline(" ".join(lines)))
    items: list[str] = []
    for line in lines:
        if line.startswith("- "):
            items.append(line[2:])
        else:
            items[-1] += " " + line.strip()
    return tag("ul", *(tag("li", inline(item)) for item in items))
