"""What a model server is sent for a generation: messages that fit, options that never make it reload."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatserver.context.window import Turn, Window, newest_that_fit, whole
from chatserver.settings import GenerationSettings, OllamaSettings
from chatserver.storage.messages import Messages
from chatserver.storage.records import Generation
from chatserver.upstream.fleet import Fleet

#: Messages read for a prompt; more only where all of these fit.
_MESSAGES_READ = 200

#: Passed through to the model server as they were given.
_PASSED_THROUGH = ("think", "format", "tools")


@dataclass(frozen=True, slots=True)
class Prompt:
    body: dict[str, Any]
    report: dict[str, Any]


class Prompts:
    def __init__(
        self,
        fleet: Fleet,
        messages: Messages,
        ollama: OllamaSettings,
        generation: GenerationSettings,
    ) -> None:
        self.fleet = fleet
        self._messages = messages
        self._ollama = ollama
        self._reserve = generation.answer_reserve_tokens

    async def build(self, generation: Generation) -> Prompt:
        num_ctx = await self.num_ctx(generation.model)
        window = await self._window(generation, self.budget(num_ctx))
        request = generation.request
        body = {
            "model": generation.model,
            "messages": window.messages,
            "stream": True,
            "keep_alive": self._ollama.keep_alive,
            # The two silent cuts; with them off, what doesn't fit is an error that can be told.
            "truncate": False,
            "shift": False,
            # The same for everybody: one differing runner option makes the server reload the model.
            "options": {**request.get("options", {}), "num_ctx": num_ctx},
            **{name: request[name] for name in _PASSED_THROUGH if name in request},
        }
        return Prompt(body, window.report)

    async def check_length(self, model: str, messages: Sequence[Turn]) -> None:
        """Refuse handed-in work that can't fit, before it is accepted."""
        whole(messages, self.budget(await self.num_ctx(model)))

    async def num_ctx(self, model: str) -> int:
        longest = await self.fleet.context_length(model)
        return min(self._ollama.num_ctx, longest) if longest else self._ollama.num_ctx

    def budget(self, num_ctx: int) -> int:
        """Tokens a prompt may take, with room kept for the answer."""
        return num_ctx - min(self._reserve, num_ctx // 2)

    async def _window(self, generation: Generation, budget: int) -> Window:
        if generation.conversation is None or generation.message is None:
            return whole(generation.request["messages"], budget)
        limit = _MESSAGES_READ
        while True:
            branch = await self._messages.transcript(generation.conversation, generation.message, limit)
            # The first is the answer itself, which is still empty; so are answers that failed early.
            turns = [{"role": said.role, "content": said.content} for said in branch.said if said.content]
            window = newest_that_fit(branch.system, turns, budget)
            if window.report["left_out"] or len(branch.said) < limit:
                return window
            limit *= 4
