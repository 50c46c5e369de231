"""How many connections a database gets, and how long anything may take there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    #: Connections that only read.
    readers: int = 4
    #: Seconds a read may take, its wait for one of them included.
    read_wait_s: float = 5
    #: Seconds to wait for a lock that another process holds.
    lock_wait_s: float = 5
    #: Seconds to reach a server.
    connect_wait_s: float = 5
    #: Seconds that one statement may take on a server.
    statement_wait_s: float = 10
