"""What was found out about versions of models, for all instances and later starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select, text

from chatserver.errors import ChatserverError
from chatserver.storage.command import Command, Transaction
from chatserver.storage.database import Database
from chatserver.storage.tables import probes

#: Milliseconds that a finding counts: a newer model server may treat the same template in another way.
GOOD_FOR_MS = 7 * 24 * 3600 * 1000

# In one statement: instances may find out the same at the same time.
_KEEP = text(
    "INSERT INTO probes (digest, continues, probed_at) VALUES (:digest, :continues, :probed_at)"
    " ON CONFLICT (digest) DO UPDATE SET continues = excluded.continues, probed_at = excluded.probed_at"
)
_FORGET = delete(probes).where(probes.c.probed_at < bindparam("oldest"))


@dataclass(frozen=True, slots=True)
class KeepProbe(Command[None]):
    digest: str
    #: Whether it goes on with an answer that was begun.
    continues: bool
    now_ms: int

    @classmethod
    async def handle(
        cls, transaction: Transaction, commands: Sequence["KeepProbe"]
    ) -> Sequence[ChatserverError | None]:
        for command in commands:
            await transaction.connection.execute(_KEEP, _row(command))
        await transaction.write(_FORGET, [{"oldest": max(one.now_ms for one in commands) - GOOD_FOR_MS}])
        return [None] * len(commands)


class Probes:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def continues(self, digest: str, now_ms: int) -> bool | None:
        """Whether a version goes on with an answer that was begun; None where nobody has found out."""
        query = select(probes.c.continues).where(
            probes.c.digest == digest, probes.c.probed_at > now_ms - GOOD_FOR_MS
        )
        rows = await self._database.rows(query)
        return bool(rows[0].continues) if rows else None


def _row(command: KeepProbe) -> dict[str, object]:
    return {"digest": command.digest, "continues": command.continues, "probed_at": command.now_ms}
