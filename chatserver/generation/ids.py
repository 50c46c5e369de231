"""Names of things: prefixed, opaque, and sortable by the time they were made."""

import re
import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARACTERS = 10
_RANDOM_CHARACTERS = 12
_RANDOM_BITS = 5 * _RANDOM_CHARACTERS
#: Two characters are ten bits: half as many steps as one at a time.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_TIME_SHIFTS = range(5 * _TIME_CHARACTERS - 10, -1, -10)
_RANDOM_SHIFTS = range(_RANDOM_BITS - 10, -1, -10)
_ID = re.compile(r"(conv|msg|gen|sum)_[0-9a-hjkmnp-tv-z]{22}")

CONVERSATION = "conv"
MESSAGE = "msg"
GENERATION = "gen"
SUMMARY = "sum"

#: A file's writer makes some in its thread, while the event loop makes others.
_one_at_a_time = threading.Lock()
_last_ms = 0
_last_time = ""
_last_random = 0


def new_id(kind: str) -> str:
    """Make an id that sorts after every id this process has made before."""
    global _last_ms, _last_time, _last_random  # noqa: PLW0603 - ids made in one millisecond must still be in order
    with _one_at_a_time:
        now = time.time_ns() // 1_000_000
        if now > _last_ms:
            _last_ms, _last_time = now, _spelt(now, _TIME_SHIFTS)
            # The top bit stays free, so that counting on from here never runs over within a millisecond.
            _last_random = secrets.randbits(_RANDOM_BITS - 1)
        else:
            _last_random += 1 + secrets.randbits(16)
        return f"{kind}_{_last_time}{_spelt(_last_random, _RANDOM_SHIFTS)}"


def _spelt(number: int, shifts: range) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in shifts])


def is_id(kind: str, text: str) -> bool:
    return bool(_ID.fullmatch(text)) and text.startswith(kind + "_")
