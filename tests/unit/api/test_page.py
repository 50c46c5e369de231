import re

from chatserver.api.page import Page


def served() -> set[str]:
    return {operation.path.removeprefix("/") or "index.html" for operation in Page.find().operations(dict)}


def test_every_file_of_the_page_is_served() -> None:
    assert served() == {path.name for path in Page.find().folder.iterdir()}


def test_the_page_asks_for_nothing_but_its_own_files() -> None:
    for path in Page.find().folder.iterdir():
        text = path.read_text()
        named = re.findall(r"""(?:src|href)="([^"#]+)"|from "\./([^"]+)"|url\(([^)]+)\)""", text)
        assert {name for names in named for name in names if name} <= served(), path
