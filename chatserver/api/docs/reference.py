"""The page that tells every operation: what it takes, what it answers, and how to try it."""

import re
from typing import Any

from chatserver.api.docs.examples import curl_lines, example_url, shown
from chatserver.api.docs.layout import menu, page
from chatserver.api.docs.markup import Markup, join, prose, tag
from chatserver.api.docs.schemas import definition, fields, row, type_of
from chatserver.api.openapi import REQUEST_ID_PARAMETER

Json = dict[str, Any]


def reference(document: Json, *, address: str) -> bytes:
    """Render an OpenAPI document; `address` is where its examples find the server."""
    return _Reference(document, address).page()


class _Reference:
    def __init__(self, document: Json, address: str) -> None:
        self.document = document
        self.address = address
        self.schemas: Json = document["components"]["schemas"]
        self.by_tag: dict[str, list[tuple[str, str, Json]]] = {told["name"]: [] for told in document["tags"]}
        for path, item in document["paths"].items():
            for method, operation in item.items():
                self.by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))

    def page(self) -> bytes:
        info = self.document["info"]
        return page(info["title"], self._side(), self._content())

    def _side(self) -> Markup:
        info = self.document["info"]
        return join(
            tag("p", tag("a", info["title"], href="/docs"), tag("small", info["version"]), class_="brand"),
            *(
                menu(name, f"#{_tag_id(name)}", *(_menu_item(*entry) for entry in entries))
                for name, entries in self.by_tag.items()
            ),
            menu("Schemas", "#schemas", *(tag("a", name, href=f"#schema-{name}") for name in self.schemas)),
            menu("Errors", "/docs/errors"),
        )

    def _content(self) -> Markup:
        info = self.document["info"]
        told = {each["name"]: each["description"] for each in self.document["tags"]}
        return join(
            tag("h1", info["title"]),
            tag("div", prose(info["description"]), class_="lead"),
            tag(
                "p",
                tag("a", "openapi.json", href="/openapi.json"),
                " · ",
                tag("a", "errors", href="/docs/errors"),
            ),
            *(self._section(name, told.get(name, ""), entries) for name, entries in self.by_tag.items()),
            tag(
                "section",
                tag("h2", "Schemas"),
                *(definition(name, schema) for name, schema in self.schemas.items()),
                id="schemas",
            ),
        )

    def _section(self, name: str, told: str, entries: list[tuple[str, str, Json]]) -> Markup:
        return tag(
            "section",
            tag("h2", name),
            tag("div", prose(told), class_="lead") if told else None,
            *(self._operation(*entry) for entry in entries),
            id=_tag_id(name),
        )

    def _operation(self, method: str, path: str, operation: Json) -> Markup:
        parameters = [
            self._resolved(each) for each in operation.get("parameters", []) if each != REQUEST_ID_PARAMETER
        ]
        return tag(
            "article",
            tag(
                "header",
                tag("h3", tag("a", operation["summary"], href=f"#{operation['operationId']}")),
                tag("p", _method(method), " ", tag("code", path), class_="call"),
            ),
            tag(
                "div",
                prose(operation.get("description", "")),
                _parameters(parameters),
                self._body(operation),
                self._answers(operation),
                class_="told",
            ),
            tag("div", *self._examples(method, path, operation, parameters), class_="shown"),
            class_="operation",
            id=operation["operationId"],
        )

    def _body(self, operation: Json) -> Markup | None:
        body = operation.get("requestBody")
        if not body:
            return None
        schema = body["content"]["application/json"]["schema"]
        resolved = self._resolved(schema)
        return join(
            tag("h4", "Body"),
            fields(resolved) or tag("p", type_of(schema), class_="type"),
            tag("p", body["description"], class_="bounds") if "description" in body else None,
        )

    def _answers(self, operation: Json) -> Markup:
        rows = []
        for status, answer in operation["responses"].items():
            resolved = self._resolved(answer)
            told = _refusals(resolved) if int(status) >= 400 else _success(resolved)
            rows.append(tag("div", tag("dt", tag("code", status)), tag("dd", told)))
        return join(tag("h4", "Answers"), tag("dl", *rows, class_="answers"))

    def _examples(self, method: str, path: str, operation: Json, parameters: list[Json]) -> list[Markup]:
        url = example_url(self.address, path, parameters)
        lines = curl_lines(method, url, operation, key=self._takes_key(operation))
        figures = [_figure(caption, command) for caption, command in lines]
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if "example" in content:
                figures.append(_figure(f"body · {media_type}", shown(content["example"])))
        for status, answer in operation["responses"].items():
            for media_type, content in self._resolved(answer).get("content", {}).items():
                if "example" in content:
                    figures.append(_figure(f"{status} · {media_type}", shown(content["example"])))
        return figures

    def _takes_key(self, operation: Json) -> bool:
        schemes = self.document["components"].get("securitySchemes", {})
        usual: list[Json] = self.document["security"]
        names = [name for choice in operation.get("security", usual) for name in choice]
        return any(schemes[name].get("scheme") == "bearer" for name in names)

    def _resolved(self, part: Json) -> Json:
        if "$ref" not in part:
            return part
        found: Any = self.document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return dict(found)


def _tag_id(name: str) -> str:
    return "tag-" + re.sub(r"\W+", "-", name.lower())


def _method(method: str) -> Markup:
    return tag("span", method, class_=f"method {method.lower()}")


def _menu_item(method: str, path: str, operation: Json) -> Markup:
    return tag(
        "a",
        _method(method),
        tag("span", operation["summary"]),
        href=f"#{operation['operationId']}",
        title=path,
    )


def _parameters(parameters: list[Json]) -> Markup | None:
    if not parameters:
        return None
    rows = (
        row(
            each["name"],
            each["schema"],
            required=each["required"],
            place=each["in"],
            description=each.get("description"),
        )
        for each in parameters
    )
    return join(tag("h4", "Parameters"), tag("dl", *rows, class_="rows"))


def _success(answer: Json) -> Markup:
    kinds = [
        tag("p", tag("span", media_type, class_="media"), " ", type_of(content["schema"]))
        for media_type, content in answer.get("content", {}).items()
    ]
    return join(prose(answer["description"]), *kinds)


def _refusals(answer: Json) -> Markup:
    lines = []
    for content in answer.get("content", {}).values():
        for code, example in content.get("examples", {}).items():
            link = tag("a", code, href=f"/docs/errors#{code}")
            lines.append(tag("p", link, " ", example["value"]["detail"]))
    return join(*lines) if lines else prose(answer["description"])


def _figure(caption: str, content: str) -> Markup:
    return tag("figure", tag("figcaption", caption), tag("pre", tag("code", content)))
