"""What makes a request the same request again: its operation, its target and its body."""

from hashlib import sha256
from typing import Any

import orjson

from chatserver.storage.records import Idempotency


def idempotency(key: str | None, operation: str, target: str, body: dict[str, Any]) -> Idempotency | None:
    if key is None:
        return None
    canonical = orjson.dumps([operation, target, body], option=orjson.OPT_SORT_KEYS)
    return Idempotency(key, sha256(canonical).hexdigest())
