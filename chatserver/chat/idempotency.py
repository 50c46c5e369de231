"""Idempotency keys: what makes a request the same request again, and forgetting keys that are old."""

import asyncio
from hashlib import sha256
from typing import Any

import orjson
import structlog

from chatserver.errors import StoreUnavailable
from chatserver.generation.clock import Clock
from chatserver.storage.keys import KEPT_MS, ForgetKeys
from chatserver.storage.records import Idempotency
from chatserver.storage.writer import Writer

_FORGET_EVERY_S = 3600

log = structlog.get_logger()


def idempotency(key: str | None, operation: str, target: str, body: dict[str, Any]) -> Idempotency | None:
    if key is None:
        return None
    canonical = orjson.dumps([operation, target, body], option=orjson.OPT_SORT_KEYS)
    return Idempotency(key, sha256(canonical).hexdigest())


async def forget_old_keys(writer: Writer, clock: Clock) -> None:
    """Remove keys that no longer count, now and then, for ever."""
    while True:
        try:
            forgotten = await writer.submit(ForgetKeys(clock.wall_ms() - KEPT_MS))
            log.debug("keys_forgotten", keys=forgotten)
        except StoreUnavailable:
            log.warning("keys_not_forgotten")
        await asyncio.sleep(_FORGET_EVERY_S)
