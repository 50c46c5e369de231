"""The words of a text as they are searched: without case and accents, bounded, each of them once."""

import re
import unicodedata
from dataclasses import dataclass
from hashlib import sha256

from chatserver.generation.principal import Principal

#: Characters of a text whose words can be found; of a word, those that tell it from others.
_SEARCHED = 100_000
_LONGEST = 40
#: Words of a search that count.
_MOST_SOUGHT = 12
#: Characters from which on the last word of a search may be only the beginning of one: a single letter
#: begins a tenth of all words.
_SHORTEST_BEGINNING = 2
#: Hexadecimal digits of a user's own key. Two who share one only look at more than they need to.
_KEY_DIGITS = 6

# Written without spaces: two characters at a time take the place of a word.
_UNSPACED = (
    "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUN = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Sought:
    """One word of a search."""

    word: str
    #: Words that begin with it count as well.
    beginning: bool


def words_of(text: str) -> list[str]:
    found: dict[str, None] = {}
    for run in _RUN.findall(_folded(text[:_SEARCHED])):
        if _IS_UNSPACED.match(run):
            found.update(dict.fromkeys(run[at : at + 2] for at in range(len(run))))
        else:
            found[run[:_LONGEST]] = None
    return list(found)


def sought_in(text: str) -> list[Sought]:
    """Read what somebody looks for; nothing in it is anything but words."""
    runs = _RUN.findall(_folded(text))
    found: dict[Sought, None] = {}
    for place, run in enumerate(runs, start=1):
        if _IS_UNSPACED.match(run):
            pairs = [run[at : at + 2] for at in range(max(1, len(run) - 1))]
            # In a text each character begins a pair.
            found.update(dict.fromkeys(Sought(pair, beginning=len(pair) == 1) for pair in pairs))
        else:
            last = place == len(runs) and len(run) >= _SHORTEST_BEGINNING
            found[Sought(run[:_LONGEST], beginning=last)] = None
    return list(found)[:_MOST_SOUGHT]


def key_of(principal: Principal) -> str:
    """Give what stands before each of somebody's words, so that a word is looked up among theirs alone."""
    name = f"{principal.tenant}\0{principal.user}"
    return sha256(name.encode()).hexdigest()[:_KEY_DIGITS]


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    taken_apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join([character for character in taken_apart if unicodedata.category(character) != "Mn"])
