"""Embeddings without a model: texts that share words point in similar directions."""

import hashlib
import math
from collections.abc import Iterator
from functools import lru_cache

from chatserver.upstream.simulator.answers.language import matters, words_of

#: Words that carry no meaning of their own still tell two texts apart, a little.
_MINOR_WEIGHT = 0.15
#: Each feature touches so many places of the vector.
_SPREAD = 8
#: Beginnings of words count too, so that "invoice" is near "invoices".
_STEM = 5
_WORD_WEIGHT, _STEM_WEIGHT = 1.0, 0.7


def embed(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1."""
    vector = [0.0] * dimensions
    for feature, weight in _features(text):
        for place, sign in _places(feature, dimensions):
            vector[place] += sign * weight
    return normalise(vector)


def normalise(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def _features(text: str) -> Iterator[tuple[str, float]]:
    # Numbers aren't words, but texts that differ in one differ in what they mean.
    for token in [*words_of(text), *(part for part in text.split() if any(map(str.isdigit, part)))]:
        word = token.removesuffix("'s")
        yield word, _WORD_WEIGHT if matters(word) else _MINOR_WEIGHT
        if len(word) > _STEM and matters(word):
            yield f"{word[:_STEM]}…", _STEM_WEIGHT
    # An empty text points somewhere too.
    yield "", _MINOR_WEIGHT


@lru_cache(8_192)
def _places(feature: str, dimensions: int) -> tuple[tuple[int, int], ...]:
    digest = hashlib.blake2b(feature.encode(), digest_size=3 * _SPREAD).digest()
    drawn = (digest[at : at + 3] for at in range(0, len(digest), 3))
    # The square favours the first places, so that a shortened vector still tells texts apart.
    return tuple(
        (int((int.from_bytes(three[:2]) / 65_536) ** 2 * dimensions), 1 if three[2] & 1 else -1)
        for three in drawn
    )
