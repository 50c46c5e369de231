"""Examples as people paste and read them: the curl line of a call, and JSON with its parts coloured."""

import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from chatserver.api.docs.markup import Markup, join, tag

Json = dict[str, Any]

_JSON_PARTS = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<literal>\b(?:true|false|null)\b|-?\b\d[\d.eE+-]*)'
)


def shown(value: Any) -> Markup:
    """Lay a JSON value out; text, as of another media type, stays as it is."""
    return join(value.strip()) if isinstance(value, str) else _coloured(pretty(value))


def pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _brief(value: Any) -> str:
    """One line where it fits beside the text."""
    line = orjson.dumps(value).decode()
    return line if len(line) <= 56 else pretty(value)


def _coloured(text: str) -> Markup:
    parts: list[str] = []
    end = 0
    for found in _JSON_PARTS.finditer(text):
        parts += [text[end : found.start()], tag("span", found[0], class_=found.lastgroup)]
        end = found.end()
    return join(*parts, text[end:])


def curl_lines(method: str, url: str, operation: Json, *, key: bool) -> Iterator[tuple[str, str]]:
    """Yield a caption and a command for each way of calling: for its answer, and for its stream."""
    # A WebSocket isn't opened by curl.
    if "101" in operation["responses"]:
        return
    media = {kind for answer in operation["responses"].values() for kind in answer.get("content", {})}
    streams = "text/event-stream" in media
    if not streams or "application/json" in media:
        yield "curl", _curl(method, url, operation, key=key, stream=False)
    if streams:
        yield "curl, as a stream", _curl(method, url, operation, key=key, stream=True)


def _curl(method: str, url: str, operation: Json, *, key: bool, stream: bool) -> str:
    # -N: show each event when it comes.
    words = ["curl -N" if stream else "curl", shlex.quote(url)]
    if method == "GET":
        words = [" ".join(words)]
    else:
        words[0] += f" -X {method}"
    if stream:
        words.append("-H 'Accept: text/event-stream'")
    if key:
        words.append('-H "Authorization: Bearer $CHATSERVER_KEY"')
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if "example" in content:
        words += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(_brief(content['example']))}"]
    return " \\\n  ".join(words)


def example_url(address: str, path: str, parameters: list[Json]) -> str:
    """Fill the path with the examples of its parameters, and ask with those a query must have."""
    query: dict[str, str] = {}
    for parameter in parameters:
        value = _example(parameter)
        if value is None:
            continue
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(value))
        elif parameter["in"] == "query" and parameter["required"]:
            query[parameter["name"]] = value
    return address + path + (f"?{urlencode(query)}" if query else "")


def _example(parameter: Json) -> str | None:
    examples = parameter["schema"].get("examples")
    return str(examples[0]) if examples else None
