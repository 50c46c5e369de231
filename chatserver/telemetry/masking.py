"""Keeps what people write, and what proves who they are, out of the log."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

MASK = "***"
#: Names that hold what people and models write.
_CONTENT = {
    "body",
    "content",
    "messages",
    "prompt",
    "result",
    "summary",
    "system",
    "text",
    "thinking",
    "title",
}
#: Words that make a secret of whatever has them in its name, as in `set_cookie` or `X-Admin-Password`.
_SECRET = {"authorization", "cookie", "credentials", "password", "secret", "ticket"}
_SECRET_NAMES = {"api_key", "idempotency_key", "token", "x_api_key"}
# Servers and clients of ours log whole addresses, in which tickets and passwords stand.
_IN_QUERY = re.compile(r"([?&](?:ticket|token|key|api_key|secret|password)=)[^&\s\"']*", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(://[^:/?#@\s]*):[^/\s\"']*@")
# Deep enough for every line of ours; what lies deeper is some foreign object's business, and is left out.
_DEEPEST = 4


def mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: what is private is replaced, whoever logged it."""
    for name, value in event.items():
        event[name] = MASK if _is_private(name) else _masked(value, _DEEPEST)
    return event


def _is_private(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return plain in _CONTENT or plain in _SECRET_NAMES or not _SECRET.isdisjoint(plain.split("_"))


def _masked(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return mask_addresses(value)
    if isinstance(value, Mapping):
        return {
            name: MASK if depth == 0 or _is_private(str(name)) else _masked(inner, depth - 1)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return MASK if depth == 0 else [_masked(inner, depth - 1) for inner in value]
    return value


def mask_addresses(text: str) -> str:
    # Most texts hold no address, and then two searches are saved.
    if "=" in text:
        text = _IN_QUERY.sub(rf"\1{MASK}", text)
    if "@" in text:
        text = _IN_ADDRESS.sub(rf"\1:{MASK}@", text)
    return text
