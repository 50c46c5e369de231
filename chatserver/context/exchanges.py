"""A conversation in exchanges: a message of a person with all that follows it, up to the person's next one.

An exchange is shown or left out as a whole, so that no call of a tool is ever parted from its result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import floor

from chatserver.context.counting import Measure, PromptMessage
from chatserver.context.cutting import cut_middle, share

#: What a message has to be left with for showing it to be of use, in tokens.
_LEAST_LEFT = 24
_TEXT_ALONE = {"role", "content"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A message and what it costs, without what a template puts around it."""

    id: str
    message: PromptMessage
    tokens: int
    #: How many messages the branch has down to this one; None where that isn't known.
    depth: int | None = None


#: Oldest first.
Exchange = tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Messages as they will be shown, oldest first, with the ids of those that were cut."""

    entries: Exchange = ()
    cut: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        return sum(entry.tokens for entry in self.entries)

    def has(self, name: str) -> bool:
        return any(entry.id == name for entry in self.entries)

    def tokens_of(self, name: str) -> int:
        return sum(entry.tokens for entry in self.entries if entry.id == name)

    def cost(self, measure: Measure) -> float:
        """Count what they take with what the template puts around each."""
        return self.tokens + measure.overhead.message * len(self.entries)


def exchanges(newest_first: Iterable[Entry]) -> list[Exchange]:
    """Newest first."""
    found: list[Exchange] = []
    current: list[Entry] = []
    for entry in newest_first:
        current.append(entry)
        if entry.message["role"] == "user":
            found.append(tuple(reversed(current)))
            current = []
    # What was read only from its middle on is shown where there is nothing else.
    return found or [tuple(reversed(current))]


def fewest(newest_first: Sequence[Exchange], messages: int) -> int:
    """Count the newest exchanges that have so many messages together."""
    seen = 0
    for number, exchange in enumerate(newest_first, 1):
        seen += len(exchange)
        if seen >= messages:
            return number
    return len(newest_first)


def together(newest_first: Sequence[Exchange]) -> Exchange:
    return tuple(entry for exchange in reversed(newest_first) for entry in exchange)


def shortened(entries: Exchange, most: float, measure: Measure) -> Part | None:
    """Cut what is too long, so that all of them fit; None where too little of one would be left."""
    if Part(entries).cost(measure) <= most:
        return Part(entries)
    room = floor(most - measure.overhead.message * len(entries))
    if room < 0:
        return None
    allowed = share([entry.tokens for entry in entries], room)
    shown: list[Entry] = []
    for entry, tokens in zip(entries, allowed, strict=True):
        fitting = entry if entry.tokens <= tokens else _cut(entry, tokens, measure)
        if fitting is None:
            return None
        shown.append(fitting)
    cut = tuple(now.id for was, now in zip(entries, shown, strict=True) if now is not was)
    return Part(tuple(shown), cut)


def _cut(entry: Entry, most: int, measure: Measure) -> Entry | None:
    if most < _LEAST_LEFT:
        return None
    content, count = entry.message["content"], measure.counter.count
    # What isn't text (calls, images) can't be cut.
    fixed = 0 if entry.message.keys() <= _TEXT_ALONE else entry.tokens - count(content)
    found = cut_middle(content, entry.tokens - fixed, most - fixed, count)
    if found is None:
        return None
    text, tokens = found
    return replace(entry, message={**entry.message, "content": text}, tokens=fixed + tokens)
