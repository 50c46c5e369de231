"""The host names we answer to."""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from chatserver.errors import ForeignHost


class Hosts:
    """Names of public origins, this machine's own, and plain addresses.

    A foreign page that wants to reach us as itself has to point its own name at us; that name isn't ours.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._names = {urlsplit(origin).hostname for origin in origins} | {"localhost"}

    def check(self, host: str) -> None:
        name = _name_of(host)
        if name not in self._names and not _is_address(name):
            raise ForeignHost


def _name_of(host: str) -> str:
    """Take the name out of a Host header: without port, without brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
