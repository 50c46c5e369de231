"""Browsers that came before: each is a user by a signed cookie."""

import secrets

from starlette.requests import cookie_parser

from chatserver.access.signing import Signer
from chatserver.generation.principal import Principal

COOKIE = "chatserver"
#: Open mode knows one tenant.
TENANT = "default"
_YEAR_S = 365 * 24 * 3600
_LONGEST_HEADER = 8192

#: Everybody without a cookie, where nobody has to say who they are.
LOCAL = Principal(TENANT, "local")


class Visitors:
    def __init__(self, secret: bytes) -> None:
        self._signer = Signer(secret, "visitor")

    def known(self, cookie_header: str) -> Principal | None:
        """Tell who sends this Cookie header, or None for a stranger."""
        if len(cookie_header) > _LONGEST_HEADER:
            return None
        # Read as browsers write it: cookies of other programs on this host come too, and obey no grammar.
        cookie = cookie_parser(cookie_header).get(COOKIE) if cookie_header else None
        user = self._signer.read(cookie) if cookie else None
        return Principal(TENANT, user.decode()) if user else None

    def welcome(self) -> tuple[Principal, str]:
        """Make a user of a stranger; with it, the value of its cookie."""
        user = f"visitor_{secrets.token_hex(12)}"
        return Principal(TENANT, user), self._signer.sign(user.encode())


def set_cookie(value: str, *, secure: bool, elsewhere: bool) -> str:
    """Write a Set-Cookie header. A page of another site keeps it only if that is allowed in so many words.

    For each such site it is another cookie: one that is good for several is refused more and more often.
    """
    same_site = "None; Secure; Partitioned" if secure and elsewhere else "Lax; Secure" if secure else "Lax"
    return f"{COOKIE}={value}; Path=/; Max-Age={_YEAR_S}; HttpOnly; SameSite={same_site}"
