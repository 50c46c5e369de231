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
        return f"{_encode(payload)}.{_encode(hmac.digest(self._key, payload, sha256))}"

    def read(self, text: str) -> bytes | None:
        """Give what was signed, or None if it wasn't signed here."""
        if len(text) > LONGEST or not text.isascii():
            return None
        try:
            payload = _decode(text.partition(".")[0])
        except Base64Error:
            return None
        # Compared as text: a decoder forgives spellings that we never write.
        return payload if hmac.compare_digest(text, self.sign(payload)) else None


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
