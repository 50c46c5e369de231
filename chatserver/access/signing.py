"""Small signed texts that need no store: whoever has the secret can tell that they are ours."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import sha256

#: Longer than anything we sign; what is longer isn't looked at.
LONGEST = 512


class Signer:
    """Signs under one purpose, so that a cookie can never be given for a ticket."""

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._key = hmac.digest(secret, purpose.encode(), sha256)

    def sign(self, payload: bytes) -> str:
        return f"{_encode(payload)}.{_encode(self._mac(payload))}"

    def read(self, text: str) -> bytes | None:
        """Give what was signed, or None if it wasn't signed here."""
        if len(text) > LONGEST or not text.isascii():
            return None
        body, _, mac = text.partition(".")
        try:
            payload, given = _decode(body), _decode(mac)
        except (Base64Error, ValueError):
            return None
        return payload if hmac.compare_digest(given, self._mac(payload)) else None

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, sha256)


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
