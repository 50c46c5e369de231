"""The host names we answer to."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from chatserver.errors import ForeignHost

#: Characters of a name with its port: names have 253 at most.
_LONGEST = 260


class Hosts:
    """Names of public origins, this machine's own, and plain addresses.

    A foreign page that wants to reach us as itself has to point its own name at us; that name isn't ours.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._names = {urlsplit(origin).hostname for origin in origins} | {"localhost"}

    def check(self, host: str) -> None:
        # Looked at first: what is read is kept for a while, and a head has room for 32 KiB of it.
        name = _name_of(host) if len(host) <= _LONGEST else ""
        if name not in self._names and not _is_address(name):
            raise ForeignHost


@lru_cache(maxsize=256)
def _name_of(host: str) -> str:
    """Take the name out of a Host header: without port, without brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


# Whoever calls again calls by the same name; a stranger's are let go of soon.
@lru_cache(maxsize=256)
def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
