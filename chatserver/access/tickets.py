"""Tickets: signed grants for a stream where neither a header nor a cookie can be sent."""

from dataclasses import dataclass
from enum import StrEnum

import orjson

from chatserver.access.signing import Signer
from chatserver.errors import Forbidden, Unauthenticated
from chatserver.generation.clock import Clock
from chatserver.generation.principal import Principal

#: Seconds a reader of one generation or conversation may come back with its ticket.
READING_S = 3600
#: Seconds within which a WebSocket has to be opened.
OPENING_S = 30


class Grant(StrEnum):
    GENERATION = "generation"
    CONVERSATION = "conversation"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class Ticket:
    principal: Principal
    grant: Grant
    #: What may be read; empty for a WebSocket.
    target: str

    def check(self, grant: Grant, target: str = "") -> None:
        if (self.grant, self.target) != (grant, target):
            raise Forbidden("This ticket is for something else.")


class Tickets:
    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._signer = Signer(secret, "ticket")
        self._clock = clock

    def issue(self, ticket: Ticket) -> tuple[str, int]:
        """Sign a ticket; with it, the seconds for which it is good."""
        seconds = OPENING_S if ticket.grant is Grant.WEBSOCKET else READING_S
        expires = self._clock.wall_ms() // 1000 + seconds
        principal = ticket.principal
        payload = [principal.tenant, principal.user, ticket.grant, ticket.target, expires]
        return self._signer.sign(orjson.dumps(payload)), seconds

    def read(self, text: str) -> Ticket:
        payload = self._signer.read(text)
        if payload is None:
            raise Unauthenticated("This ticket isn't one of ours; fetch a fresh one.")
        tenant, user, grant, target, expires = orjson.loads(payload)
        if expires <= self._clock.wall_ms() // 1000:
            raise Unauthenticated("This ticket has expired; fetch a fresh one.")
        return Ticket(Principal(tenant, user), Grant(grant), target)
