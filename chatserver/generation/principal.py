"""Who asks: every row, queue entry and log line belongs to a user of a tenant."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    tenant: str
    user: str
