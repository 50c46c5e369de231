"""How prompts of each model are measured: by its own vocabulary, and by estimate where that isn't there."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import structlog

from chatserver.context.counting import Counter, Estimate, Measure, PromptMessage, shown_as
from chatserver.context.exact import Exact
from chatserver.context.learning import LearnedFactor, LearnedOverhead
from chatserver.context.vocabulary import UnusableVocabularyError, Vocabulary, read_vocabulary
from chatserver.context.vocabulary_files import VocabularyFiles
from chatserver.errors import UpstreamError
from chatserver.generation.clock import Clock
from chatserver.upstream.fleet import Fleet, full_name

#: Models whose measures are kept, up to some 60 MB each; the one asked for longest ago goes first.
_MOST_MODELS = 8
#: Seconds that a prompt waits for a vocabulary; the model itself takes longer to load.
_PATIENCE = 1.0
#: Seconds before a vocabulary that couldn't be fetched is asked for again.
_AGAIN = 30.0
#: What our count may be off by where the vocabulary is known: a part of the prompt, but some tokens always.
_TOLERANCE = 0.02
_TOLERATED = 8

Verdict = Literal["within", "off", "unusable"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sent:
    """What was counted of a prompt before it was sent."""

    #: Of all texts, without what the template adds.
    tokens: int
    messages: Sequence[PromptMessage]
    #: Images, tools and forms cost what can only be guessed.
    only_text: bool
    exact: bool


@dataclass(slots=True)
class _Known:
    """What is known of one version of a model."""

    counter: Counter | None = None
    overhead: LearnedOverhead = field(default_factory=LearnedOverhead)
    factor: LearnedFactor = field(default_factory=LearnedFactor)
    loading: asyncio.Task[None] | None = None
    #: When to ask for the vocabulary, by the clock; None if it can't be used.
    ask_at: float | None = 0.0
    warned: bool = False

    def measure(self) -> Measure:
        return Measure(self.counter or Estimate(self.factor.now), self.overhead.now)


class Measures:
    """`async with Measures(...)`: vocabularies that are on their way are given up in the end."""

    def __init__(self, fleet: Fleet, files: VocabularyFiles, clock: Clock) -> None:
        self._fleet = fleet
        self._files = files
        self._clock = clock
        self._models: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def of(self, model: str) -> Measure:
        """Give how a model is measured; its vocabulary is waited for, but not for long."""
        known = self._known(model)
        if known.loading is not None:
            await asyncio.wait({known.loading}, timeout=_PATIENCE)
        return known.measure()

    def at_hand(self, model: str) -> Measure:
        """Give how a model is measured at this moment."""
        return self._known(model).measure()

    def learn(self, model: str, sent: Sent, prompt_eval_count: int) -> Verdict:
        """Hold the model's own count against ours, and be nearer the next time."""
        known = self._known(model)
        if not sent.only_text:
            return "unusable"
        if not sent.exact:
            counted = prompt_eval_count - known.overhead.now.of(sent.messages)
            return "within" if known.factor.learn(sent.tokens, counted) else "unusable"
        # What was expected before this report taught anything.
        off = prompt_eval_count - sent.tokens - known.overhead.now.of(sent.messages)
        was_known = known.overhead.known
        if not known.overhead.learn(shown_as(sent.messages), prompt_eval_count - sent.tokens):
            return "unusable"
        if not was_known or abs(off) <= max(_TOLERATED, _TOLERANCE * prompt_eval_count):
            return "within"
        log.warning("prompt_count_off", model=model, counted=prompt_eval_count, off=off)
        return "off"

    def _known(self, model: str) -> _Known:
        name = full_name(model)
        key = (name, self._fleet.digest(name))
        known = self._models.get(key)
        if known is None:
            known = self._models[key] = _Known()
            if len(self._models) > _MOST_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        self._load(key, known)
        return known

    def _load(self, key: tuple[str, str], known: _Known) -> None:
        """Fetch and build what counts, once."""
        due = known.ask_at is not None and self._clock.now() >= known.ask_at
        if known.counter is not None or known.loading is not None or not due:
            return
        name, digest = key
        task = known.loading = asyncio.create_task(
            self._loaded(name, digest, known), name=f"vocabulary {name}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _loaded(self, name: str, digest: str, known: _Known) -> None:
        try:
            known.counter = await self._exact(name, digest)
            known.ask_at = None
        except UpstreamError as error:
            known.ask_at = self._clock.now() + _AGAIN
            self._warn(known, name, error.detail)
        except UnusableVocabularyError as error:
            known.ask_at = None
            self._warn(known, name, str(error))
        except Exception:
            # What a model server says of a vocabulary must not end an answer, whatever is wrong with it.
            known.ask_at = None
            log.exception("vocabulary_failed", model=name)
        finally:
            known.loading = None

    async def _exact(self, name: str, digest: str) -> Exact:
        vocabulary = await asyncio.to_thread(self._files.read, digest)
        if vocabulary is None:
            described = await self._fleet.tokenizer(name)
            vocabulary = await asyncio.to_thread(read_vocabulary, described)
            await asyncio.to_thread(self._files.write, digest, vocabulary)
        return await asyncio.to_thread(_built, vocabulary)

    def _warn(self, known: _Known, name: str, why: str) -> None:
        if not known.warned:
            known.warned = True
            log.warning("tokens_are_estimated", model=name, why=why)


def _built(vocabulary: Vocabulary) -> Exact:
    return Exact(vocabulary.encoding())
