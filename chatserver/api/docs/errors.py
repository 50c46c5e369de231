"""The page that explains every error code; problem documents point at its lines by their `type`."""

from collections.abc import Iterator

from chatserver.api.docs.layout import menu, page
from chatserver.api.docs.markup import Markup, join, prose, tag
from chatserver.errors import ChatserverError
from chatserver.wire.problems import every_error

Kind = type[ChatserverError]

LEAD = """
Every refusal is an `application/problem+json` document with these members: `type` (a line of this page),
`title`, `status`, `code`, `detail` and `request_id`. Facts stand beside them, such as `field`, `limit` or
`retry_after` in seconds. Over a WebSocket the same facts come as an `error` frame; where an error ends the
connection, it closes with the code in the last column.
"""


def error_page(title: str) -> bytes:
    groups = list(_groups())
    side = join(
        tag("p", tag("a", title, href="/docs"), class_="brand"),
        *(
            menu(root.title, f"#{_group_id(root)}", *(_menu_item(kind) for kind in kinds))
            for root, kinds in groups
        ),
    )
    content = join(
        tag("h1", "Errors"),
        tag("div", prose(LEAD), class_="lead"),
        *(_group(root, kinds) for root, kinds in groups),
    )
    return page(f"Errors · {title}", side, content)


def _groups() -> Iterator[tuple[Kind, list[Kind]]]:
    """Yield each branch of the tree with the codes that it has, what is unexpected last."""
    seen: set[str] = {ChatserverError.code}
    for root in ChatserverError.__subclasses__():
        kinds = [kind for kind in every_error(root) if kind.code not in seen and "code" in vars(kind)]
        # One line for each code: the first that has it explains it.
        seen.update(kind.code for kind in kinds)
        if kinds:
            yield root, kinds
    yield ChatserverError, [ChatserverError]


def _group_id(root: Kind) -> str:
    return f"group-{root.code}"


def _menu_item(kind: Kind) -> Markup:
    return tag("a", tag("code", kind.code), href=f"#{kind.code}")


def _group(root: Kind, kinds: list[Kind]) -> Markup:
    heads = ("Code", "Status", "Title", "What it says", "Close code")
    return tag(
        "section",
        tag("h2", root.title),
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
            tag("tbody", *(_line(kind) for kind in kinds)),
        ),
        id=_group_id(root),
    )


def _line(kind: Kind) -> Markup:
    sentence = (kind.__doc__ or "").split("\n", 1)[0]
    return tag(
        "tr",
        tag("th", tag("a", tag("code", kind.code), href=f"#{kind.code}"), scope="row"),
        tag("td", str(kind.status), class_="status"),
        tag("td", kind.title),
        tag("td", sentence),
        tag("td", str(kind.close_code), class_="close"),
        id=kind.code,
    )
