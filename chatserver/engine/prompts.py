"""What a model server is sent for a generation: messages that fit, options that never make it reload."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatserver.context.counting import Estimate, Measure, Overhead, Turn
from chatserver.context.exchanges import Entry
from chatserver.context.window import Budget, Text, Window, fit, whole
from chatserver.settings import ContextSettings, GenerationSettings, OllamaSettings
from chatserver.storage.messages import Messages
from chatserver.storage.records import Generation, Said
from chatserver.upstream.fleet import Fleet

#: Messages read for a prompt, however long the conversation is.
_MESSAGES_READ = 64

#: Passed through to the model server as they were given.
_PASSED_THROUGH = ("think", "format", "tools")

_MEASURE = Measure(Estimate(), Overhead())


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
        context: ContextSettings,
    ) -> None:
        self.fleet = fleet
        self._messages = messages
        self._ollama = ollama
        self._reserve = generation.answer_reserve_tokens
        self._context = context

    async def build(self, generation: Generation) -> Prompt:
        num_ctx = await self.num_ctx(generation.model)
        request = generation.request
        options = request.get("options", {})
        window = await self._window(generation, self.room(num_ctx, options))
        body = {
            "model": generation.model,
            "messages": window.messages,
            "stream": True,
            "keep_alive": self._ollama.keep_alive,
            # The two silent cuts; with them off, what doesn't fit is an error that can be told.
            "truncate": False,
            "shift": False,
            "options": _options(options, num_ctx, num_ctx - window.report.tokens.total),
            **{name: request[name] for name in _PASSED_THROUGH if name in request},
        }
        return Prompt(body, window.report.as_json())

    async def check_length(self, model: str, request: Mapping[str, Any]) -> None:
        """Refuse handed-in work that can't fit, before it is accepted."""
        num_ctx = await self.num_ctx(model)
        self._whole(request, self.room(num_ctx, request.get("options", {})))

    async def num_ctx(self, model: str) -> int:
        longest = await self.fleet.context_length(model)
        return min(self._ollama.num_ctx, longest) if longest else self._ollama.num_ctx

    def room(self, num_ctx: int, options: Mapping[str, Any]) -> int:
        """Tokens a prompt may take, with room kept for the answer."""
        wanted = options.get("num_predict", 0)
        reserve = wanted if wanted > 0 else self._reserve
        return num_ctx - min(reserve, num_ctx // 2)

    async def _window(self, generation: Generation, room: int) -> Window:
        if generation.conversation is None or generation.message is None:
            return self._whole(generation.request, room)
        branch = await self._messages.transcript(generation.conversation, generation.message, _MESSAGES_READ)
        system = Text(branch.system, _MEASURE.counter.count(branch.system)) if branch.system else None
        total = min(self._context.total_tokens, room)
        budget = Budget(total, min(self._context.history_tokens, total))
        return fit(system, None, list(_entries(branch.said)), budget, _MEASURE)

    def _whole(self, request: Mapping[str, Any], room: int) -> Window:
        return whole(request["messages"], _described(request), room, _MEASURE)


def _options(given: Mapping[str, Any], num_ctx: int, left: int) -> dict[str, Any]:
    # The same for everybody: one differing runner option makes the server reload the model.
    options = {**given, "num_ctx": num_ctx}
    if options.get("num_predict", 0) > left:
        options["num_predict"] = left
    return options


def _entries(said: Iterable[Said]) -> Iterable[Entry]:
    # The first is the answer itself, which is still empty; so are answers that failed early.
    for one in said:
        if one.content:
            turn: Turn = {"role": one.role, "content": one.content}
            yield Entry(one.id, turn, _MEASURE.turn(turn), one.depth)


def _described(request: Mapping[str, Any]) -> int:
    """Count what the descriptions of tools and of the answer's form take."""
    parts: Sequence[Any] = [*request.get("tools", ()), request.get("format", "")]
    return sum(_MEASURE.written(part) for part in parts if part)
