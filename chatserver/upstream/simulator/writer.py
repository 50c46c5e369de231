"""Finds the words for a prompt: the same for the same messages, unless the simulator is to diverge."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from chatserver.upstream.simulator.answers.compose import Answer, compose, continue_from
from chatserver.upstream.simulator.answers.prose import endless_pieces
from chatserver.upstream.simulator.answers.reading import Reading
from chatserver.upstream.simulator.attempts import Attempts
from chatserver.upstream.simulator.completions import Completion
from chatserver.upstream.simulator.messages import Message
from chatserver.upstream.simulator.options import SimulatorOptions
from chatserver.upstream.simulator.script import Script, spoil, stopped_at, write_script
from chatserver.upstream.simulator.truncation import Prompt
from chatserver.upstream.simulator.vocabulary import load_vocabulary


class Writer:
    """Writes the scripts of one simulated server."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self._attempts = Attempts()

    def write(self, completion: Completion, prompt: Prompt, fault: str | None) -> Script:
        """Decide what will be said to `prompt`, and what goes wrong with it."""
        seen = _split(prompt.messages, continues=completion.model.continues)
        reading = self._read(completion, seen)
        answer = self._answer(completion, reading, seen.prefix)
        script = write_script(
            answer, completion.most_tokens(prompt), calls_when_done=completion.model.calls_when_done
        )
        if completion.shape == "generate" and completion.raw is None:
            script = replace(script, extra=_context(prompt, script))
        return spoil(script, fault, endless_pieces(reading)) if fault else script

    def _read(self, completion: Completion, seen: "_Seen") -> Reading:
        said = [(message.role, message.content) for message in seen.messages]
        chosen = [self._options.seed, completion.options.get("seed", 0), completion.model.name, said]
        digest = hashlib.blake2b(orjson.dumps(chosen), digest_size=6).digest()
        seed = int.from_bytes(digest)
        attempt = self._attempts.count(seed) if self._options.diverge else 0
        # Whoever continues an answer has had its beginning from an attempt before.
        attempt = max(attempt, 1) if self._options.diverge and seen.prefix else attempt
        return Reading(completion.model.name.partition(":")[0], seen.messages, seed, attempt)

    def _answer(self, completion: Completion, reading: Reading, prefix: str) -> Answer:
        tools = () if prefix else completion.tools
        answer = compose(reading, tools=tools, form=completion.request.form, think=completion.thinks)
        pieces = answer.pieces
        if prefix:
            pieces = continue_from(prefix, pieces, diverging=self._options.diverge)
        stops = completion.options.get("stop")
        return replace(answer, pieces=stopped_at(pieces, stops) if stops else pieces)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The messages before the answer, and what there already is of it."""

    messages: Sequence[Message]
    prefix: str


def _split(messages: Sequence[Message], *, continues: bool) -> _Seen:
    """Part a trailing assistant message from the rest; a model that can't go on with it doesn't heed it."""
    end = len(messages)
    while end and messages[end - 1].role == "assistant":
        end -= 1
    prefix = "\n\n".join(message.content for message in messages[end:]) if continues else ""
    return _Seen(messages[:end], prefix)


def _context(prompt: Prompt, script: Script) -> dict[str, list[int]]:
    said = "".join(text for text, kind in script.pieces if kind == "answer")
    return {"context": load_vocabulary().encode(prompt.text + said)}
