import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from chatserver.api.docs.examples import curl_lines, example_url, shown
from chatserver.api.docs.markup import Markup, inline, join, prose, tag
from chatserver.api.docs.schemas import bounds_of, type_of
from chatserver.wire.problems import every_error

NASTY = "<script>alert('x')</script> & \"more\""
VOID = {"link", "meta"}


class Checked(HTMLParser):
    """Reads a page strictly: what is opened is closed, ids are unique; and keeps what a test asks for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(given)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        self.links += [given[name] for name in ("href", "src") if name in given]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
async def docs(client) -> Checked:
    return Checked((await client.get("/docs")).text)


@pytest.fixture
async def errors(client) -> Checked:
    return Checked((await client.get("/docs/errors")).text)


async def test_pages_come_under_a_strict_policy(client):
    for path in ("/docs", "/docs/errors"):
        response = await client.get(path)

        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_pages_need_nothing_that_the_policy_forbids(docs, errors):
    for page in (docs, errors):
        assert not {"script", "style", "img", "iframe"} & set(page.tags)
        assert not {name for name in page.attributes if name == "style" or name.startswith("on")}


async def test_pages_ask_nobody_else(docs, errors, client):
    for page in (docs, errors):
        assert all(link.startswith(("/", "#")) for link in page.links)
    style = (await client.get("/docs/style.css")).text
    assert "url(" not in style
    assert "@import" not in style


async def test_every_link_leads_somewhere(docs, errors, client):
    ids = {"/docs": docs.ids, "/docs/errors": errors.ids}
    for path, page in (("/docs", docs), ("/docs/errors", errors)):
        for link in page.links:
            target, _, fragment = link.partition("#")
            if fragment:
                assert fragment in ids[target or path], link
            else:
                assert (await client.get(target)).status_code == 200, link


async def test_the_reference_tells_every_operation(docs, handbook):
    for operation in handbook.api.operations:
        assert operation.name in docs.ids
        assert operation.summary in docs.text
        assert operation.template in docs.text
    assert "open_websocket" in docs.ids


async def test_every_operation_shows_its_curl_line(docs, handbook):
    assert docs.text.count("curl http://127.0.0.1:8000/api/v1/conversations \\") == 1
    assert docs.text.count("http://127.0.0.1:8000/api/v1/conversations/conv_01j9/messages") == 2
    assert docs.text.count("curl") > len(handbook.api.operations)


async def test_whatever_is_told_is_escaped(client):
    page = (await client.get("/docs")).text

    assert "It's <evening>" not in page
    assert "&lt;evening&gt;" in page
    assert "&lt;blue&gt; &amp; not green" in page


async def test_every_error_code_has_a_line(errors):
    for kind in every_error():
        assert kind.code in errors.ids
        assert str(kind.status) in errors.text


async def test_problem_types_point_at_their_line(client, errors):
    problem = (await client.get("/nowhere")).json()

    path, _, fragment = problem["type"].partition("#")
    assert path == "/docs/errors"
    assert fragment in errors.ids


async def test_the_document_is_served_as_it_was_made(client, handbook):
    response = await client.get("/openapi.json")

    assert response.headers["content-type"] == "application/json"
    assert response.json() == handbook.document


@pytest.mark.parametrize("path", ["/docs", "/docs/errors", "/docs/style.css", "/openapi.json"])
async def test_what_is_known_is_not_sent_again(client, path):
    first = await client.get(path)
    again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert (first.status_code, again.status_code) == (200, 304)
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]


async def test_the_style_is_kept_for_a_while(client):
    response = await client.get("/docs/style.css")

    assert response.headers["content-type"].startswith("text/css")
    assert response.headers["cache-control"] == "public, max-age=3600"


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


ON_GROUND = ("text", "quiet", "accent", "key", "string", "literal")
METHODS = ("get", "post", "put", "patch", "delete", "quiet")


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_can_be_read_by_day_and_by_night(scheme):
    style = (files("chatserver.api.docs") / "style.css").read_text()
    roots = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", roots[scheme]))

    for name in ON_GROUND:
        for ground in ("ground", "panel"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for method in METHODS:
        assert contrast(colours["on-method"], colours[method]) >= 4.5, method
    assert contrast(colours["text"], colours["mark"]) >= 4.5


def test_plain_text_is_always_escaped():
    assert join(NASTY) == tag("b", NASTY)[3:-4]
    assert "<script" not in join(NASTY)
    assert tag("a", "x", title=NASTY).count('"') == 2
    assert tag("p", Markup("<b>bold</b>"), None) == "<p><b>bold</b></p>"


def test_attributes_are_written_as_html_writes_them():
    assert tag("a", class_="x", aria_label="y", href=None) == '<a class="x" aria-label="y"></a>'
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("One\ntwo.\n\nThree.", "<p>One two.</p><p>Three.</p>"),
        ("Before:\n- one\n  more\n- two", "<p>Before:</p><ul><li>one more</li><li>two</li></ul>"),
        ("```json\n{<1>}\n```", '<pre tabindex="0"><code>{&lt;1&gt;}</code></pre>'),
        ("`a<b` **c** [d](/e)", '<p><code>a&lt;b</code> <strong>c</strong> <a href="/e">d</a></p>'),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        (NASTY, f"<p>{join(NASTY)}</p>"),
        ("", ""),
    ],
)
def test_prose_becomes_elements(text, html):
    assert prose(text) == html


def test_marks_that_are_not_closed_stay_as_they_are():
    assert inline("a ` b ** c [d") == "a ` b ** c [d"


@pytest.mark.parametrize(
    ("schema", "html"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date-time"}, "date-time"),
        ({"$ref": "#/components/schemas/A"}, '<a href="#schema-A">A</a>'),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        (
            {"enum": ["<a>", 1, True]},
            "<code>&quot;&lt;a&gt;&quot;</code> or <code>1</code> or <code>true</code>",
        ),
        ({"const": "x"}, "<code>&quot;x&quot;</code>"),
        ({"type": "array", "items": {"type": "number"}}, "array of number"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of string"),
        ({}, "any JSON value"),
    ],
)
def test_types_are_told_in_a_few_words(schema, html):
    assert type_of(schema) == html


def test_bounds_are_told_in_words():
    schema = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 5}, {"type": "null"}], "default": "x"}

    assert list(bounds_of(schema)) == ["not empty", "at most 5 characters", 'default "x"']


def test_examples_are_coloured_and_escaped():
    html = shown({"a<b": "c: 1", "n": -1.5, "t": None})

    assert '<span class="key">&quot;a&lt;b&quot;</span>: <span class="string">&quot;c: 1&quot;</span>' in html
    assert '<span class="literal">-1.5</span>' in html
    assert '<span class="literal">null</span>' in html


def test_text_examples_stay_as_they_are():
    assert shown("data: {<x>}\n\n") == "data: {&lt;x&gt;}"


def test_urls_are_filled_with_examples():
    parameters = [
        {"name": "id", "in": "path", "required": True, "schema": {"examples": ["a b"]}},
        {"name": "wait", "in": "query", "required": True, "schema": {"examples": [25]}},
        {"name": "limit", "in": "query", "required": False, "schema": {"examples": [5]}},
        {"name": "other", "in": "path", "required": True, "schema": {}},
    ]

    assert example_url("http://x", "/{id}/{other}", parameters) == "http://x/a%20b/{other}?wait=25"


def test_a_curl_line_can_be_pasted():
    operation = {
        "requestBody": {"content": {"application/json": {"example": {"content": "It's"}}}},
        "responses": {"202": {"content": {"application/json": {}, "text/event-stream": {}}}},
    }

    (plain, stream) = curl_lines("POST", "http://x/y", operation, key=True)

    assert plain[1].split(" \\\n  ") == [
        "curl -X POST",
        "http://x/y",
        '-H "Authorization: Bearer $CHATSERVER_KEY"',
        "-H 'Content-Type: application/json'",
        """-d '{"content":"It'"'"'s"}'""",
    ]
    assert stream[1].startswith("curl -N -X POST \\\n  http://x/y \\\n  -H 'Accept: text/event-stream'")


def test_a_websocket_has_no_curl_line():
    assert list(curl_lines("GET", "http://x/ws", {"responses": {"101": {}}}, key=False)) == []
