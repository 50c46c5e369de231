"""Names of things: prefixed, opaque, and sortable by the time they were made."""

import re
import secrets
import time
from base64 import b32hexencode

_ALPHABET = bytes.maketrans(b"0123456789ABCDEFGHIJKLMNOPQRSTUV", b"0123456789abcdefghjkmnpqrstvwxyz")
_TIME_CHARACTERS = 10
_RANDOM_CHARACTERS = 12
_RANDOM_BITS = 5 * _RANDOM_CHARACTERS
#: 24 characters, as they are made of whole bytes; the first two are always zeros.
_BYTES = 15
_ID = re.compile(r"(conv|msg|gen|sum)_[0-9a-hjkmnp-tv-z]{22}")

CONVERSATION = "conv"
MESSAGE = "msg"
GENERATION = "gen"
SUMMARY = "sum"

_last_ms = 0
_last_random = 0


def new_id(kind: str) -> str:
    """Make an id that sorts after every id this process has made before."""
    global _last_ms, _last_random  # noqa: PLW0603 - ids made in one millisecond must still be in order
    now = time.time_ns() // 1_000_000
    if now > _last_ms:
        # The top bit stays free, so that counting on from here never runs over within a millisecond.
        _last_ms, _last_random = now, secrets.randbits(_RANDOM_BITS - 1)
    else:
        _last_random += 1 + secrets.randbits(16)
    number = (_last_ms << _RANDOM_BITS | _last_random).to_bytes(_BYTES)
    written = b32hexencode(number).translate(_ALPHABET)[-_TIME_CHARACTERS - _RANDOM_CHARACTERS :]
    return f"{kind}_{written.decode()}"


def is_id(kind: str, text: str) -> bool:
    return bool(_ID.fullmatch(text)) and text.startswith(kind + "_")
