"""Settings in words: a value as it may be shown, without what is secret in it, and what a setting allows."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

MASK = "***"
_SECRETS = {"server.secret"}
# Up to the last @, so that a password with an unescaped @ or / in it is hidden too.
_PASSWORD_IN_ADDRESS = re.compile(r"(://[^:/?#@\s\"]*):[^\s\"]*@")
_PASSWORD_IN_QUERY = re.compile(r"([?&][^=&\s]*(?:password|secret|token)[^=&\s]*=)[^&\s\"]*", re.IGNORECASE)
_TYPES = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}


def shown(name: str, value: Any) -> str:
    """The value as one would write it in a settings file, without what is secret in it."""
    if name in _SECRETS and value:
        return json.dumps(MASK)
    text = without_passwords(json.dumps(value, ensure_ascii=False, default=str))
    # A long wrong value would bury the sentence it stands in.
    return text if len(text) <= 2048 else text[:200] + "…"


def without_passwords(text: str) -> str:
    """The text with the passwords of the addresses in it masked."""
    return _PASSWORD_IN_QUERY.sub(rf"\1{MASK}", _PASSWORD_IN_ADDRESS.sub(rf"\1:{MASK}@", text))


def allowed(section: type[BaseModel], name: str) -> str:
    """What the setting takes, as the end of a sentence."""
    schema = section.model_json_schema()["properties"][name]
    if "description" in schema:
        return str(schema["description"])
    if "enum" in schema:
        return listed([json.dumps(value) for value in schema["enum"]], "or")
    return _TYPES[schema["type"]] + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    if schema["type"] == "string":
        return f" of {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']:g} and at most {schema['maximum']:g}"
    if "minimum" in schema:
        return f" from {_plain(schema['minimum'])} to {_plain(schema['maximum'])}"
    return ""


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def listed(items: list[str], joint: str = "and") -> str:
    """`a, b and c`."""
    return f" {joint} ".join(filter(None, [", ".join(items[:-1]), items[-1]]))
