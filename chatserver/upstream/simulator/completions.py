"""A request for an answer: what it asks of which model, checked as Ollama checks it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from chatserver.upstream.simulator.answers.reading import directives
from chatserver.upstream.simulator.catalogue import SimulatedModel, find_model
from chatserver.upstream.simulator.faults import Fault, parse_fault
from chatserver.upstream.simulator.lines import Shape
from chatserver.upstream.simulator.messages import Message, Tool
from chatserver.upstream.simulator.model_options import check_options, launch_options
from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.requests import (
    ChatRequest,
    CompletionRequest,
    GenerateRequest,
    parse_body,
)
from chatserver.upstream.simulator.runners import Launch
from chatserver.upstream.simulator.template import parse
from chatserver.upstream.simulator.truncation import Prompt, Window, fit_messages, fit_text
from chatserver.upstream.simulator.vocabulary import load_vocabulary

#: An answer without a limit of its own ends at so many windows.
_WINDOWS_IN_AN_ANSWER = 10


@dataclass(frozen=True, slots=True)
class Completion:
    """One checked request."""

    shape: Shape
    request: CompletionRequest
    model: SimulatedModel
    options: dict[str, Any]
    launch: Launch
    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    #: A prompt that brings its own template.
    raw: str | None = None

    @property
    def empty(self) -> bool:
        """Whether the request only wants the model loaded, or gone."""
        return not self.messages

    @property
    def thinks(self) -> bool:
        """Whether the model thinks first, which those that can do unless they are told not to."""
        return self.model.can("thinking") and self.request.think is not False

    @property
    def stamped(self) -> bool:
        """Whether each token begins with the time it was sent, in microseconds since the epoch."""
        return bool(self.options.get("sim_stamp")) or "stamp" in self._directives()

    def prompt(self) -> Prompt:
        window = Window(
            self.launch.num_ctx, self.request.truncate, self.launch.shift, self.options.get("num_keep", 4)
        )
        if self.raw is not None:
            return fit_text(self.raw, window, sum(len(message.images) for message in self.messages))
        return fit_messages(self.messages, self.tools, window, continues=self.model.continues)

    def most_tokens(self, prompt: Prompt) -> int:
        limit: int = self.options.get("num_predict", -1)
        if limit < 0:
            limit = _WINDOWS_IN_AN_ANSWER * self.launch.num_ctx
        return limit if self.launch.shift else min(limit, self.launch.num_ctx - prompt.tokens)

    def wished_faults(self) -> list[Fault]:
        """Return what the last message of the person asks to go wrong."""
        wish = self._directives().get("fault")
        try:
            return [parse_fault(wish)] if wish else []
        except ValueError as problem:
            raise Refusal(400, str(problem)) from problem

    def _directives(self) -> dict[str, str]:
        """Return the marks in the last message of the person."""
        said = [message.content for message in self.messages if message.role == "user"]
        return directives(said[-1]) if said else {}


def read_chat(body: bytes, default_context: int) -> Completion:
    request = parse_body(ChatRequest, body)
    model = _model_for(request, "chat")
    if request.tools and not model.can("tools"):
        raise Refusal(400, f"registry.ollama.ai/library/{model.name} does not support tools")
    completion = _completion("chat", request, model, request.messages, default_context, tools=request.tools)
    _check_prefill(completion)
    return completion


def read_generate(body: bytes, default_context: int) -> Completion:
    request = parse_body(GenerateRequest, body)
    model = _model_for(request, "generate")
    if request.suffix:
        raise Refusal(400, f"registry.ollama.ai/library/{model.name} does not support insert")
    if request.raw and (request.system or request.context):
        raise Refusal(400, "raw mode does not support template, system, or context")
    raw = request.prompt if request.raw else None
    return _completion("generate", request, model, _messages_of(request), default_context, raw=raw)


def launch_for(
    model: SimulatedModel, options: dict[str, Any], default_context: int, *, shift: bool
) -> Launch:
    window = model.window(options.get("num_ctx", default_context))
    return Launch(window, shift, launch_options(options))


def _completion(
    shape: Shape,
    request: CompletionRequest,
    model: SimulatedModel,
    messages: Sequence[Message],
    default_context: int,
    *,
    tools: Sequence[Tool] = (),
    raw: str | None = None,
) -> Completion:
    options = check_options(request.options)
    launch = launch_for(model, options, default_context, shift=request.shift)
    return Completion(shape, request, model, options, launch, messages, tools, raw)


def _model_for(request: CompletionRequest, purpose: str) -> SimulatedModel:
    model = find_model(request.model)
    if request.think and not model.can("thinking"):
        raise Refusal(400, f'"{request.model}" does not support thinking')
    if not model.can("completion"):
        raise Refusal(400, f'"{request.model}" does not support {purpose}')
    return model


def _messages_of(request: GenerateRequest) -> list[Message]:
    if not request.prompt:
        return []
    system = [Message(role="system", content=request.system)] if request.system else []
    if not all(0 <= number < len(load_vocabulary().tokens) for number in request.context):
        raise Refusal(400, "invalid token in context")
    earlier = parse(load_vocabulary().decode(request.context)) if request.context else []
    return [*earlier, *system, Message(role="user", content=request.prompt, images=request.images)]


def _check_prefill(completion: Completion) -> None:
    """Refuse what llama-server refuses of models whose own template is used; here, those that think."""
    ends = [message.role for message in completion.messages[-2:]]
    if not completion.model.can("thinking") or not ends or ends[-1] != "assistant":
        return
    if ends == ["assistant", "assistant"]:
        raise _llama_refusal("Cannot have 2 or more assistant messages at the end of the list.")
    if completion.thinks:
        raise _llama_refusal("Assistant response prefill is incompatible with enable_thinking.")


def _llama_refusal(sentence: str) -> Refusal:
    """Return llama-server's own error, which Ollama passes on as a string."""
    error = {"code": 400, "message": sentence, "type": "invalid_request_error"}
    return Refusal(400, orjson.dumps({"error": error}).decode())
