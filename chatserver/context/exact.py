"""Counting by a model's own vocabulary: the same numbers as the model server's, to the token."""

from collections.abc import Iterator
from functools import lru_cache

from tiktoken import Encoding

#: Characters that are encoded in one go. A run of space of a million overflows the encoder's stack.
_PIECE = 32_768
#: Texts up to this length that come again and again, such as system prompts, are counted once.
_REMEMBERED_CHARACTERS = 16_384
_REMEMBERED = 256


class Exact:
    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        # To look for hundreds of them costs as much as to count a long question; few texts have even these.
        self._beginnings = {token[0] for token in encoding.special_tokens_set}
        self._remembered = lru_cache(_REMEMBERED)(self._count)

    @property
    def name(self) -> str:
        return self._encoding.name

    def count(self, text: str) -> int:
        if len(text) <= _REMEMBERED_CHARACTERS:
            return self._remembered(text)
        return sum(map(self._count, _pieces(text)))

    def _count(self, text: str) -> int:
        if not any(letter in text for letter in self._beginnings):
            return len(self._encoding.encode_ordinary(text))
        # Markers of a template are markers wherever they stand: the model server reads them so, too.
        return len(self._encoding.encode(text, allowed_special="all", disallowed_special=()))


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text where a word begins, if there is one; each cut may cost a token too many."""
    start = 0
    while len(text) - start > _PIECE:
        end = text.rfind(" ", start + 1, start + _PIECE)
        end = start + _PIECE if end < 0 else end
        yield text[start:end]
        start = end
    yield text[start:]
