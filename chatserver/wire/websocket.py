"""WebSocket messages as a server writes them: whole, and without a mask."""

import struct

_TEXT = 0x81
#: Longest payloads whose length stands in the second byte, and in two more.
_SHORT, _MEDIUM = 125, 2**16 - 1
_LENGTH_IN_TWO, _LENGTH_IN_EIGHT = 126, 127


def text_message(payload: bytes) -> bytes:
    """Encode one message. `payload` is JSON, so it is UTF-8."""
    length = len(payload)
    if length <= _SHORT:
        head = struct.pack("!BB", _TEXT, length)
    elif length <= _MEDIUM:
        head = struct.pack("!BBH", _TEXT, _LENGTH_IN_TWO, length)
    else:
        head = struct.pack("!BBQ", _TEXT, _LENGTH_IN_EIGHT, length)
    return head + payload
