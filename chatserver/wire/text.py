"""Text that every store and every reader can hold: no NUL, no half of a surrogate pair."""

import re
from typing import Any

_HALF_PAIRS = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def storable(text: str) -> str:
    """Replace what can't be stored; done where text comes in, so that text and hash agree everywhere."""
    # Nearly all text is plain: ASCII has no surrogates, and finding that out costs nothing.
    if not text.isascii():
        text = _HALF_PAIRS.sub(REPLACEMENT, text)
    return text.replace("\x00", REPLACEMENT)


def storable_json(value: Any) -> Any:
    """Do the same for every string inside a JSON value."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [storable_json(item) for item in value]
    if isinstance(value, dict):
        return {storable(name): storable_json(item) for name, item in value.items()}
    return value
