"""Answers made once more: another one beside the first, or one for a generation that failed."""

from dataclasses import dataclass
from typing import Any

from chatserver.access.allowance import Caller
from chatserver.chat.accepting import Accepting, Receipt, accepted_generation
from chatserver.chat.idempotency import idempotency
from chatserver.errors import NotFailed, NothingToRegenerate
from chatserver.generation.clock import Clock
from chatserver.generation.ids import GENERATION, MESSAGE, new_id
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane, Status
from chatserver.storage.conversations import Conversations
from chatserver.storage.generations import AcceptGeneration, Generations
from chatserver.storage.records import Generation, Idempotency
from chatserver.storage.regenerating import Regenerate
from chatserver.upstream.fleet import Fleet

_FAILED = frozenset({Status.FAILED, Status.DEAD})


@dataclass(frozen=True)
class Again:
    accepting: Accepting
    fleet: Fleet
    conversations: Conversations
    generations: Generations
    clock: Clock

    async def regenerate(
        self, caller: Caller, conversation: str, message: str | None, key: str | None
    ) -> Receipt:
        """Have another answer made beside this one, by default the last one of the current branch."""
        known_by = idempotency(key, "regenerate", conversation, {"message": message})

        async def prepare() -> Regenerate:
            beside = message or await self._last(caller.principal, conversation)
            return await self._beside(caller.principal, conversation, beside, known_by)

        return await self.accepting.accept(caller, known_by, prepare)

    async def retry(self, caller: Caller, generation: str, key: str | None) -> Receipt:
        """Have made again what failed: in a conversation beside the answer that failed."""
        known_by = idempotency(key, "retry", generation, {})

        async def prepare() -> Regenerate | AcceptGeneration:
            failed = await self.generations.get(caller.principal, generation)
            if failed.status not in _FAILED:
                raise NotFailed(f"This generation is {failed.status}; only one that failed can be retried.")
            if failed.conversation is None or failed.message is None:
                return self._handed_in_again(failed, known_by)
            return await self._beside(
                caller.principal, failed.conversation, failed.message, known_by, retry_of=failed
            )

        return await self.accepting.accept(caller, known_by, prepare)

    async def _last(self, principal: Principal, conversation: str) -> str:
        leaf = (await self.conversations.get(principal, conversation)).leaf
        if leaf is None:
            raise NothingToRegenerate
        return leaf

    async def _beside(
        self,
        principal: Principal,
        conversation: str,
        beside: str,
        known_by: Idempotency | None,
        retry_of: Generation | None = None,
    ) -> Regenerate:
        before = retry_of or await self.generations.of_message(beside)
        return Regenerate(
            principal=principal,
            conversation=conversation,
            beside=beside,
            model=await self._model(principal, conversation, before),
            request=_request_of(before),
            answer_id=new_id(MESSAGE),
            generation_id=new_id(GENERATION),
            owner=self.accepting.engine.owner,
            claimed=False,
            lane=Lane.INTERACTIVE,
            retry_of=retry_of.id if retry_of else None,
            idempotency=known_by,
            reply=accepted_generation,
            now_ms=self.clock.wall_ms(),
        )

    async def _model(self, principal: Principal, conversation: str, before: Generation | None) -> str:
        """Choose the conversation's model of today; where it names none, that of the answer before."""
        chosen = (await self.conversations.get(principal, conversation)).model
        return chosen or (before.model if before else await self.fleet.default_model())

    def _handed_in_again(self, failed: Generation, known_by: Idempotency | None) -> AcceptGeneration:
        now = self.clock.wall_ms()
        lasts = None if failed.expires_at is None else failed.expires_at - failed.created_at
        return AcceptGeneration(
            principal=failed.principal,
            generation_id=new_id(GENERATION),
            model=failed.model,
            request=failed.request,
            owner=self.accepting.engine.owner,
            claimed=False,
            lane=failed.lane,
            metadata=failed.metadata,
            expires_at=None if lasts is None else now + lasts,
            retry_of=failed.id,
            idempotency=known_by,
            reply=accepted_generation,
            now_ms=now,
        )


def _request_of(before: Generation | None) -> dict[str, Any]:
    """Give the options of the answer before: only the words are to be others."""
    return before.request if before else {}
