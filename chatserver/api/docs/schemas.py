"""JSON Schemas as people read them: the type of a value in a few words, the fields of an object as rows."""

from collections.abc import Iterator
from typing import Any

from chatserver.api.docs.markup import Markup, inline, join, prose, tag

Json = dict[str, Any]


def name_of(reference: str) -> str:
    return reference.rpartition("/")[2]


def type_of(schema: Json) -> Markup:
    """Say in a few words what a value is; named schemas are links."""
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return _either([type_of(choice) for choice in choices])
    if "enum" in schema:
        return _either([tag("code", _literal(value)) for value in schema["enum"]])
    if "$ref" in schema:
        name = name_of(schema["$ref"])
        return tag("a", name, href=f"#schema-{name}")
    if "const" in schema:
        return tag("code", _literal(schema["const"]))
    return _plain_type(schema)


def _plain_type(schema: Json) -> Markup:
    if schema.get("type") == "array":
        return join("array of ", type_of(schema.get("items", {})))
    if isinstance(schema.get("additionalProperties"), dict):
        return join("object of ", type_of(schema["additionalProperties"]))
    return join(schema.get("format") or schema.get("type", "any JSON value"))


def _either(choices: list[Markup]) -> Markup:
    parts: list[str] = [choices[0]]
    for choice in choices[1:]:
        parts += [" or ", choice]
    return join(*parts)


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


_BOUNDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matching {}",
}


def bounds_of(schema: Json) -> Iterator[str]:
    """Say within which bounds a value lies, and what it is when it is left out."""
    for part in (schema, *schema.get("anyOf", [])):
        for key, phrase in _BOUNDS.items():
            if key in part:
                yield "not empty" if (key, part[key]) == ("minLength", 1) else phrase.format(part[key])
    if schema.get("default") not in (None, [], {}):
        yield f"default {_literal(schema['default'])}"


def row(
    name: str, schema: Json, *, required: bool, place: str | None = None, description: str | None = None
) -> Markup:
    """One field or parameter: its name, type and bounds, and below them what it is for."""
    bounds = list(bounds_of(schema))
    told = description or schema.get("description")
    return tag(
        "div",
        tag(
            "dt",
            tag("code", name, class_="name"),
            " ",
            tag("span", type_of(schema), f", in the {place}" if place else None, class_="type"),
            tag("span", "required", class_="required") if required else None,
        ),
        tag(
            "dd",
            inline(" ".join(told.split())) if told else None,
            tag("span", " · ".join(bounds), class_="bounds") if bounds else None,
        )
        if told or bounds
        else None,
    )


def fields(schema: Json) -> Markup | None:
    """Every field of an object, or None where there are none to show."""
    if not schema.get("properties"):
        return None
    required = schema.get("required", [])
    return tag(
        "dl",
        *(row(name, each, required=name in required) for name, each in schema["properties"].items()),
        class_="rows",
    )


def definition(name: str, schema: Json) -> Markup:
    """A named schema in full."""
    return tag(
        "article",
        tag("h3", name),
        prose(schema["description"]) if "description" in schema else None,
        fields(schema) or tag("p", type_of(schema), class_="type"),
        class_="schema",
        id=f"schema-{name}",
    )
