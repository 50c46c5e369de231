"""The short way out of a connection, past messages, coroutines and middleware, if the server gives one."""

from typing import Protocol

#: Where a scope has it.
OUTLET = "chatserver.outlet"


class Outlet(Protocol):
    """Takes pieces of what has begun: of an HTTP response's body, or whole WebSocket messages."""

    @property
    def free(self) -> bool:
        """The client is there, and its socket isn't full: what is written now needn't be waited for."""

    def write(self, piece: bytes) -> None: ...
