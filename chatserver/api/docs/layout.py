"""What every page of the description shares: its head, its side, and the room for its content."""

from chatserver.api.docs.markup import Markup, tag

STYLE = "/docs/style.css"
#: Nothing but our own style sheet is ever loaded or run.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(title: str, side: Markup, content: Markup) -> bytes:
    html = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", title),
            tag("link", rel="stylesheet", href=STYLE),
        ),
        tag(
            "body",
            tag("a", "Skip to the content", href="#content", class_="skip"),
            tag("nav", side, aria_label="Contents"),
            tag("main", content, id="content"),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{html}".encode()


def menu(heading: str, href: str, *items: Markup) -> Markup:
    return tag(
        "section",
        tag("h2", tag("a", heading, href=href)),
        tag("ul", *(tag("li", item) for item in items)) if items else None,
    )
