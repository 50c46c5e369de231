"""A minimal JSON value that satisfies a JSON schema, for answers in a required format."""

from collections.abc import Callable, Mapping
from typing import Any

_DEEPEST = 32
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:30:00Z",
    "time": "09:30:00Z",
    "email": "ana@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
Schema = Mapping[str, Any]


def instance_of(schema: Schema, text: str = "text") -> Any:
    """Return the smallest value that `schema` allows; `text` is what free strings say."""
    return _Instance(schema, text).of(schema, 0)


class _Instance:
    def __init__(self, root: Schema, text: str) -> None:
        self._root = root
        self._text = text
        self._makers: dict[str, Callable[[Schema, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, _depth: True,
            "null": lambda _schema, _depth: None,
        }

    def of(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return None
        schema = self._resolve(schema, depth)
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            if schema.get(name):
                return schema[name][0]
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                return self.of(schema[name][0], depth + 1)
        return self._makers.get(type_of(schema), self._makers["null"])(schema, depth)

    def _resolve(self, schema: Schema, depth: int) -> Schema:
        """Follow a reference into the same document, and lay the parts of `allOf` over each other."""
        if isinstance(schema.get("$ref"), str) and depth <= _DEEPEST:
            return self._resolve(self._target(schema["$ref"]), depth + 1)
        merged = dict(schema)
        for part in merged.pop("allOf", ()):
            resolved = self._resolve(part, depth + 1)
            merged["properties"] = {**resolved.get("properties", {}), **merged.get("properties", {})}
            merged["required"] = [*resolved.get("required", ()), *merged.get("required", ())]
            merged = {**resolved, **merged}
        return merged

    def _target(self, reference: str) -> Schema:
        target: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            target = target.get(step, {}) if isinstance(target, Mapping) and step else target
        return target if isinstance(target, Mapping) else {}

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = dict.fromkeys(schema.get("required", ()))
        return {name: self.of(properties.get(name, {"type": "string"}), depth + 1) for name in required}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        fixed = [self.of(part, depth + 1) for part in schema.get("prefixItems", ())]
        missing = max(0, int(schema.get("minItems", 0)) - len(fixed))
        return fixed + [self.of(schema.get("items", {"type": "string"}), depth + 1) for _ in range(missing)]

    def _string(self, schema: Schema, _depth: int) -> str:
        text = _FORMATS.get(schema.get("format", ""), self._text)
        return text.ljust(int(schema.get("minLength", 0)), ".")[: schema.get("maxLength")]

    def _integer(self, schema: Schema, depth: int) -> int:
        step = int(schema.get("multipleOf", 1)) or 1
        lowest = self._number(schema, depth)
        return -(-int(lowest) // step) * step

    def _number(self, schema: Schema, _depth: int) -> float:
        if "minimum" in schema:
            return float(schema["minimum"])
        if "exclusiveMinimum" in schema:
            return float(schema["exclusiveMinimum"]) + 1
        highest = min(schema.get("maximum", 0), schema.get("exclusiveMaximum", 1) - 1)
        return float(min(0, highest))


def type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)
