"""Who asks: decided once for each request or connection, from its cookie, its ticket and its origin."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog
from starlette.requests import HTTPConnection

from chatserver.access.allowance import Caller
from chatserver.access.tickets import Grant, Ticket, Tickets
from chatserver.access.visitors import LOCAL, Visitors
from chatserver.errors import ForeignOrigin, Unauthenticated
from chatserver.generation.principal import Principal


@dataclass(frozen=True)
class Gate:
    visitors: Visitors
    tickets: Tickets
    #: Origins of pages elsewhere which may call us.
    origins: frozenset[str]

    def principal(self, connection: HTTPConnection) -> Principal:
        """Tell who makes a plain call."""
        elsewhere = self.check_origin(connection)
        known = self.visitors.known(connection.headers.get("cookie", ""))
        if known is None and elsewhere:
            raise Unauthenticated("A page elsewhere fetches a ticket first, so that it is known.")
        return _in_logs(known or LOCAL)

    def caller(self, connection: HTTPConnection) -> Caller:
        """Tell who makes a call that counts, and from where."""
        return Caller(self.principal(connection), address_of(connection))

    def reader(self, connection: HTTPConnection, grant: Grant, target: str) -> Principal:
        """Tell who opens a stream: by ticket, where there is one."""
        ticket = self._ticket(connection)
        if ticket is None:
            return self.principal(connection)
        self.check_origin(connection)
        ticket.check(grant, target)
        return _in_logs(ticket.principal)

    def check_origin(self, connection: HTTPConnection) -> bool:
        """Refuse pages of foreign origins; True for an allowed page that isn't our own."""
        origin = connection.headers.get("origin")
        if origin is None or _is_at(origin, connection.headers.get("host", "")):
            return False
        if origin not in self.origins:
            raise ForeignOrigin
        return True

    def _ticket(self, connection: HTTPConnection) -> Ticket | None:
        text = connection.query_params.get("ticket")
        return None if text is None else self.tickets.read(text)


def address_of(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def _in_logs(principal: Principal) -> Principal:
    """Name who asks on every line that is logged for this call."""
    structlog.contextvars.bind_contextvars(tenant=principal.tenant, user=principal.user)
    return principal


def _is_at(origin: str, host: str) -> bool:
    """Tell whether a page is of the host that it calls; an opaque origin is of none."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False
