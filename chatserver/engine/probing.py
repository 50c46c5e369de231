"""Asks models that answer whether they could go on with an answer of theirs, while nobody needs their slots.

Some templates close the last message, so that a model begins anew or says something else. One that counts
shows the difference: of itself, no message begins with a comma.
"""

import asyncio
from collections.abc import Sequence
from typing import NoReturn

import structlog

from chatserver.context.counting import PromptMessage
from chatserver.engine.engine import Engine
from chatserver.engine.loans import SlotNeededError
from chatserver.engine.prompts import Prompts
from chatserver.engine.templates import Templates
from chatserver.errors import BadUpstreamRequest, StoreUnavailable, UpstreamError
from chatserver.generation.pieces import Channel, Delta, ToolCalls
from chatserver.upstream.client import OllamaClient

#: Seconds between two looks for something to ask.
_ROUND_S = 0.5
#: Seconds before a model is asked again that gave no answer, and that one may take.
_AGAIN_S = 60.0
_PATIENCE_S = 60.0

_QUESTION = "Count from 1 to 20. Write only the numbers, separated by commas."
#: How far its answer is shown to it, and tokens enough for what it says of itself and then.
_SHOWN = 9
_FIRST_TOKENS = 48
_NEXT_TOKENS = 6

log = structlog.get_logger()


class Probing:
    def __init__(self, templates: Templates, engine: Engine, prompts: Prompts) -> None:
        self._templates = templates
        self._engine = engine
        self._prompts = prompts

    async def run(self) -> NoReturn:
        """Ask whoever is to be asked, for ever."""
        while True:
            await asyncio.sleep(_ROUND_S)
            await self.look()

    async def look(self) -> None:
        """Ask the models that are to be asked now, one after the other."""
        for model in self._templates.unknown():
            await self._find_out(model)

    async def _find_out(self, model: str) -> None:
        version = self._templates.version(model)
        try:
            # Another instance may have found out.
            if version is not None and await self._templates.go_on(model) is None:
                await self._probe(model, version)
        except SlotNeededError:
            # The next round comes back to it.
            return
        except (UpstreamError, StoreUnavailable, TimeoutError) as error:
            self._templates.put_off(model, _AGAIN_S)
            log.info("template_not_probed", model=model, error=type(error).__name__)
        else:
            self._templates.settle(model)

    async def _probe(self, model: str, version: str) -> None:
        async with self._engine.spare_slot(model) as slot, asyncio.timeout(_PATIENCE_S):
            continues = await self._goes_on(slot.client, model)
        await self._templates.learn(version, continues=continues)
        log.info("template_probed", model=model, continues=continues)

    async def _goes_on(self, client: OllamaClient, model: str) -> bool:
        try:
            answer = await self._ask(client, model, [_message("user", _QUESTION)], _FIRST_TOKENS)
            shown = beginning(answer)
            if shown is None:
                return False
            messages = [_message("user", _QUESTION), _message("assistant", shown)]
            return goes_on(await self._ask(client, model, messages, _NEXT_TOKENS))
        except BadUpstreamRequest:
            # Some refuse to go on where they would have thought first.
            return False

    async def _ask(
        self, client: OllamaClient, model: str, messages: list[PromptMessage], most_tokens: int
    ) -> str:
        said: list[str] = []

        def take(pieces: Sequence[Delta | ToolCalls]) -> None:
            texts = [piece for piece in pieces if isinstance(piece, Delta)]
            said.extend(piece.text for piece in texts if piece.channel is Channel.ANSWER)

        await client.chat(await self._prompts.plain(model, messages, most_tokens), take)
        return "".join(said)


def beginning(answer: str) -> str | None:
    """Give the part of an answer that it is to go on with; None where it says something else."""
    numbers = [part.strip() for part in answer.strip().split(",")]
    expected = [str(number) for number in range(1, _SHOWN + 1)]
    # More has to follow, or there is nothing to go on with.
    if numbers[:_SHOWN] != expected or len(numbers) == _SHOWN:
        return None
    return ",".join(answer.strip().split(",")[:_SHOWN])


def goes_on(rest: str) -> bool:
    return rest.lstrip().startswith(",")


def _message(role: str, content: str) -> PromptMessage:
    return {"role": role, "content": content}
