"""What a model server is sent for a generation: messages that fit, options that never make it reload."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from chatserver.context.counting import Measure, PromptMessage
from chatserver.context.exchanges import Entry
from chatserver.context.measures import Measures, Sent
from chatserver.context.window import Budget, CountedSummary, CountedText, Window, fit, preview, whole
from chatserver.engine.continuing import Beginning, Begun
from chatserver.errors import NotFound
from chatserver.settings import ContextSettings, GenerationSettings, OllamaSettings
from chatserver.storage.messages import Messages
from chatserver.storage.records import Conversation, Counted, Generation, Said
from chatserver.storage.summaries import Summaries
from chatserver.upstream.fleet import Fleet

#: Messages read for a prompt, however long the conversation is.
_MESSAGES_READ = 64

#: Passed through to the model server as they were given.
_PASSED_THROUGH = ("think", "format", "tools")
#: Characters that are counted where they are asked for; more take so long that a thread does it.
_COUNTED_HERE = 16_384

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prompt:
    body: dict[str, Any]
    report: dict[str, Any]
    sent: Sent
    #: Messages that had to be counted for it.
    recounted: Mapping[str, Counted]
    #: Tokens of the context that are left for the answer.
    left: int
    #: What there is of the answer already; the last message then.
    begun: Begun | None = None


class Prompts:
    def __init__(
        self,
        *,
        fleet: Fleet,
        measures: Measures,
        messages: Messages,
        summaries: Summaries,
        ollama: OllamaSettings,
        generation: GenerationSettings,
        context: ContextSettings,
    ) -> None:
        self.fleet = fleet
        self.measures = measures
        self._messages = messages
        self._summaries = summaries
        self._ollama = ollama
        self._reserve = generation.answer_reserve_tokens
        self._context = context

    async def build(self, generation: Generation) -> Prompt:
        num_ctx = await self.num_ctx(generation.model)
        measure = await self.measures.of(generation.model)
        request = generation.request
        options = request.get("options", {})
        window, recounted = await self._window(generation, self.room(num_ctx, options), measure)
        left = num_ctx - window.report.tokens.total
        passed = {name: request[name] for name in _PASSED_THROUGH if name in request}
        body = self._body(generation.model, window.messages, _options(options, num_ctx, left)) | passed
        return Prompt(body, window.report.as_json(), _sent(window, request), recounted, left)

    async def plain(self, model: str, messages: Sequence[PromptMessage], most_tokens: int) -> dict[str, Any]:
        """Ask in a way that gives the same answer each time, without thoughts."""
        options = {"temperature": 0, "seed": 1, "num_predict": most_tokens}
        return self._body(model, messages, {**options, "num_ctx": await self.num_ctx(model)}) | {
            "think": False
        }

    async def going_on(self, prompt: Prompt, beginning: Beginning) -> Prompt | None:
        """Ask for the rest of an answer; None where there is no room for any of it."""
        body, model = prompt.body, prompt.body["model"]
        if body["messages"][-1]["role"] == "assistant":
            return None
        measure = await self.measures.of(model)
        begun = await _here_or_aside(beginning.size, lambda: _counted_beginning(beginning, measure))
        left = prompt.left - begun.told
        if left <= 0:
            return None
        options = dict(body["options"])
        if options.get("num_predict", 0) > 0:
            options["num_predict"] = max(0, min(options["num_predict"] - begun.made, left))
        told = {"role": "assistant", "content": beginning.told}
        # A template that lets the model think first can't go on with an answer.
        rest = {**body, "messages": [*body["messages"], told], "options": options, "think": False}
        return replace(prompt, body=rest, left=left, begun=begun)

    def _body(
        self, model: str, messages: Sequence[PromptMessage], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "model": model,
            "messages": messages,
            "stream": True,
            "keep_alive": self._ollama.keep_alive,
            # The two silent cuts; with them off, what doesn't fit is an error that can be told.
            "truncate": False,
            "shift": False,
            "options": options,
        }

    async def check_length(self, model: str, request: Mapping[str, Any]) -> None:
        """Refuse handed-in work that can't fit, before it is accepted."""
        num_ctx = await self.num_ctx(model)
        await self._whole(
            request, self.room(num_ctx, request.get("options", {})), await self.measures.of(model)
        )

    async def num_ctx(self, model: str) -> int:
        longest = await self.fleet.context_length(model)
        return min(self._ollama.num_ctx, longest) if longest else self._ollama.num_ctx

    def room(self, num_ctx: int, options: Mapping[str, Any]) -> int:
        """Tokens a prompt may take, with room kept for the answer."""
        reserve: int = options.get("num_predict", self._reserve)
        return num_ctx - min(reserve, num_ctx // 2)

    async def count(self, model: str, text: str) -> Counted | None:
        """Count a text once and for all, where the model's vocabulary is at hand."""
        measure = self.measures.at_hand(model)
        if measure.counter.name is None:
            return None
        tokens = await _here_or_aside(len(text), lambda: measure.counter.count(text))
        return Counted(tokens, measure.counter.name)

    async def _window(
        self, generation: Generation, room: int, measure: Measure
    ) -> tuple[Window, Mapping[str, Counted]]:
        if generation.conversation is None or generation.message is None:
            return await self._whole(generation.request, room, measure), {}
        return await self._of_branch(fit, generation.conversation, generation.message, room, measure)

    async def preview(self, conversation: Conversation, model: str) -> Window:
        """Show what the model would see now, before a next question."""
        measure = await self.measures.of(model)
        room = self.room(await self.num_ctx(model), {})
        if conversation.leaf is None:
            system = _counted_text(conversation.system, measure)
            return preview(system, None, [], self._budget(room), measure)
        window, _ = await self._of_branch(preview, conversation.id, conversation.leaf, room, measure)
        return window

    async def _of_branch(
        self,
        make: Callable[[CountedText | None, CountedSummary | None, Sequence[Entry], Budget, Measure], Window],
        conversation: str,
        leaf: str,
        room: int,
        measure: Measure,
    ) -> tuple[Window, Mapping[str, Counted]]:
        branch = await self._messages.transcript(conversation, leaf, _MESSAGES_READ)
        # The first is the answer itself, which is still empty; so are answers that failed early.
        said = [one for one in branch.said if one.content]
        if not said and make is fit:
            raise NotFound("The conversation was deleted meanwhile.")
        tokens, recounted = await _counts(said, measure)
        entries = [
            Entry(one.id, {"role": one.role, "content": one.content}, count, one.depth)
            for one, count in zip(said, tokens, strict=True)
        ]
        system = _counted_text(branch.system, measure)
        window = make(system, None, entries, self._budget(room), measure)
        if window.report.left_out or window.report.cut:
            # Only here, so that a short conversation costs no read.
            summary = await self._summary(conversation, leaf, measure)
            window = make(system, summary, entries, self._budget(room), measure) if summary else window
        return window, recounted

    def _budget(self, room: int) -> Budget:
        total = min(self._context.total_tokens, room)
        return Budget(total, min(self._context.history_tokens, total))

    async def _summary(self, conversation: str, message: str, measure: Measure) -> CountedSummary | None:
        """Find what stands for what isn't shown."""
        found = await self._summaries.on_branch(conversation, message)
        if found is None:
            return None
        return CountedSummary(found.text, measure.counter.count(found.text), found.message, found.covers)

    async def _whole(self, request: Mapping[str, Any], room: int, measure: Measure) -> Window:
        messages: Sequence[PromptMessage] = request["messages"]
        characters = sum(len(message.get("content") or "") for message in messages)
        return await _here_or_aside(
            characters, lambda: whole(messages, _described(request, measure), room, measure)
        )


def _counted_text(text: str | None, measure: Measure) -> CountedText | None:
    return CountedText(text, measure.counter.count(text)) if text else None


async def _counts(said: Sequence[Said], measure: Measure) -> tuple[list[int], dict[str, Counted]]:
    """Take what is counted already by this counter, and count the rest."""
    name, count = measure.counter.name, measure.counter.count
    known = {one.id: one.counted.tokens for one in said if one.counted and one.counted.counter == name}
    missing = [one for one in said if one.id not in known]
    characters = sum(len(one.content) for one in missing)
    found = await _here_or_aside(characters, lambda: {one.id: count(one.content) for one in missing})
    recounted = {one: Counted(tokens, name) for one, tokens in found.items()} if name else {}
    return [found[one.id] if one.id in found else known[one.id] for one in said], recounted


def _counted_beginning(beginning: Beginning, measure: Measure) -> Begun:
    count = measure.counter.count
    # An estimate is rather too high, which would end an answer early.
    made = count(beginning.answer) + count(beginning.thinking) if measure.exact else beginning.pieces
    return Begun(beginning, told=count(beginning.told), made=made)


async def _here_or_aside(characters: int, work: Callable[[], T]) -> T:
    """Count here what is short: a change of threads costs more than that."""
    return work() if characters <= _COUNTED_HERE else await asyncio.to_thread(work)


def _options(given: Mapping[str, Any], num_ctx: int, left: int) -> dict[str, Any]:
    # The same for everybody: one differing runner option makes the server reload the model.
    options = {**given, "num_ctx": num_ctx}
    if options.get("num_predict", 0) > left:
        options["num_predict"] = left
    return options


def _sent(window: Window, request: Mapping[str, Any]) -> Sent:
    report = window.report
    only_text = not request.get("tools") and not request.get("format")
    return Sent(
        tokens=report.tokens.total - report.tokens.template,
        messages=window.messages,
        only_text=only_text and not any(message.keys() - {"role", "content"} for message in window.messages),
        exact=report.exact,
    )


def _described(request: Mapping[str, Any], measure: Measure) -> int:
    """Count what the descriptions of tools and of the answer's form take."""
    parts: Sequence[Any] = [*request.get("tools", ()), request.get("format", "")]
    return sum(measure.written(part) for part in parts if part)
