"""What a model's own counts of prompts teach: what its template adds, and how far a guess is off."""

from collections import deque
from dataclasses import dataclass, field
from statistics import fmean

from chatserver.context.counting import Overhead

#: Prompts that are remembered; what an update of the model server changes is forgotten after as many.
_REMEMBERED = 64
#: Between prompts with so many messages more, what one message adds can be told from what all prompts have.
_SPREAD = 2
#: What no template adds: such a report says something else, perhaps only what wasn't in the server's cache.
_MOST_PER_MESSAGE = 64
_MOST_PER_PROMPT = 2_048
#: Prompts of fewer estimated tokens say little about the next ones.
_LEAST_ESTIMATED = 50
#: What the newest prompt counts beside all before it.
_NEWEST = 0.3
_FACTORS = (0.2, 4.0)


@dataclass(slots=True)
class LearnedOverhead:
    """What a template adds, learned from prompts whose texts were counted exactly."""

    #: Messages of a prompt, and what was counted beyond its texts.
    _seen: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    now: Overhead = field(default_factory=Overhead)

    @property
    def known(self) -> bool:
        """Whether what one message adds can be told from what every prompt has."""
        counts = [messages for messages, _ in self._seen]
        return bool(counts) and max(counts) - min(counts) >= _SPREAD

    def learn(self, messages: int, beyond: int) -> bool:
        """Take a report; False where it can't be a count of the whole prompt."""
        if not 0 <= beyond <= _MOST_PER_PROMPT + _MOST_PER_MESSAGE * messages:
            return False
        self._seen.append((messages, beyond))
        careful = Overhead()
        message = self._per_message() if self.known else careful.message
        # Never less than any of them had: a prompt must not turn out longer than its budget.
        prompt = max(beyond - message * messages for messages, beyond in self._seen)
        self.now = Overhead(message, prompt if self.known else max(prompt, careful.prompt))
        return True

    def _per_message(self) -> float:
        mean, mean_beyond = (fmean(values) for values in zip(*self._seen, strict=True))
        together = sum((messages - mean) * (beyond - mean_beyond) for messages, beyond in self._seen)
        return max(0.0, together / sum((messages - mean) ** 2 for messages, _ in self._seen))


@dataclass(slots=True)
class LearnedFactor:
    """How far estimates are off, learned from prompts of a model whose vocabulary isn't known."""

    now: float = 1.0

    def learn(self, estimated: int, counted: int) -> bool:
        """Take a report on texts that were estimated with the present factor."""
        if estimated < _LEAST_ESTIMATED or counted <= 0:
            return False
        least, most = _FACTORS
        wanted = self.now * counted / estimated
        self.now = min(most, max(least, (1 - _NEWEST) * self.now + _NEWEST * wanted))
        return True
