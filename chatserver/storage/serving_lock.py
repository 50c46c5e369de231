"""A PostgreSQL database serves one process at a time: the lock lives as long as a connection of its own."""

import asyncio
import secrets
from typing import Any, Self

import asyncpg
import structlog

from chatserver.errors import Displaced, StartRefused
from chatserver.settings.sentences import without_passwords
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.postgresql import OUR_LOCKS, SERVING_LOCK, connect, in_words

#: Seconds between two looks at the lock while another process ends, or the server is away.
_LOOK_EVERY_S = 0.25
#: Seconds between two questions to a connection that says nothing: it may be dead without a word.
_ASK_EVERY_S = 5
_TRY = f"SELECT pg_try_advisory_lock({OUR_LOCKS}, {SERVING_LOCK})"
_HOLDER = f"""
    SELECT activity.pid, activity.application_name, host(activity.client_addr) AS address
    FROM pg_locks AS locks
    JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
    WHERE locks.locktype = 'advisory' AND locks.granted AND activity.datname = current_database()
        AND locks.classid = {OUR_LOCKS} AND locks.objid = {SERVING_LOCK}
"""  # noqa: S608 - two constant numbers
#: What a database says that is away, or a connection that has ended.
_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

log = structlog.get_logger()


class ServingLock:
    """`async with ServingLock(...)` holds the lock until it is left; `keep` takes a lost one again."""

    def __init__(self, address: str, options: DatabaseOptions, wait_s: float) -> None:
        """`wait_s`: seconds that another process may take to end."""
        self._address = address
        self._options = options
        self._wait_s = wait_s
        #: Tells our own lost connection from another process.
        self._name = f"chatserver {secrets.token_hex(8)}"
        self._connection: Any = None
        #: Set when the connection has ended.
        self._lost = asyncio.Event()

    async def __aenter__(self) -> Self:
        try:
            await self._wait_for_it()
        except BaseException as error:
            await self._let_go()
            if not isinstance(error, (*_AWAY, ValueError)):
                raise
            raise StartRefused(
                f"The database {without_passwords(self._address)} can't be used: {in_words(error)}."
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._let_go()

    async def keep(self) -> None:
        """Hold on to it, for ever; Displaced when another process has taken it."""
        while True:
            await self._until_lost()
            log.warning("database_lock_lost")
            await self._take_again()
            log.info("database_lock_taken_again")

    async def _wait_for_it(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._wait_s
        while (holder := await self._try()) is not None:
            if asyncio.get_running_loop().time() >= deadline:
                raise StartRefused(
                    f"The database {without_passwords(self._address)} is in use by another process "
                    f"({holder}); stop that one first, or choose another database."
                )
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _until_lost(self) -> None:
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(_ASK_EVERY_S):
                    await self._lost.wait()
            except TimeoutError:
                await self._ask()

    async def _ask(self) -> None:
        try:
            await self._connection.fetchval("SELECT 1")
        except _AWAY:
            self._lost.set()

    async def _take_again(self) -> None:
        while True:
            try:
                holder = await self._try()
            except _AWAY:
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            if holder is None:
                return
            raise Displaced(f"Another process ({holder}) serves this database now.")

    async def _try(self) -> str | None:
        """Take the lock, or say who has it."""
        await self._connect()
        while not await self._connection.fetchval(_TRY):
            holder = await self._connection.fetchrow(_HOLDER)
            if holder is not None and holder["application_name"] != self._name:
                return "at " + (holder["address"] or "the same machine")
            if holder is not None:
                # The server hasn't noticed yet that this connection of ours is dead.
                await self._connection.execute("SELECT pg_terminate_backend($1)", holder["pid"])
            await asyncio.sleep(_LOOK_EVERY_S)
        return None

    async def _connect(self) -> None:
        if self._connection is not None and not self._lost.is_set():
            return
        await self._let_go()
        self._connection = await connect(self._address, self._options, application_name=self._name)
        self._lost.clear()
        self._connection.add_termination_listener(self._ended)

    def _ended(self, connection: object) -> None:
        if connection is self._connection:
            self._lost.set()

    async def _let_go(self) -> None:
        if self._connection is not None:
            # Without a goodbye: a server that is away wouldn't hear it, and any other sees the end.
            self._connection.terminate()
            self._connection = None
