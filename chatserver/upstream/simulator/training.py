"""Learns the simulated models' vocabulary from the texts they speak with; run it after changing a text.

`python -m chatserver.upstream.simulator.training` writes `texts/merges.txt`.
"""

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

from chatserver.upstream.simulator.merging import Pair, join_pair
from chatserver.upstream.simulator.vocabulary import spelled_words

TEXTS = Path(__file__).parent / "texts"
MERGES_FILE = TEXTS / "merges.txt"
MOST_MERGES = 2_000


class _Corpus:
    """The words of a text with their counts, and the neighbours inside them."""

    def __init__(self, text: str) -> None:
        self.counts = Counter(spelled_words(text))
        self.parts = {word: list(word) for word in self.counts}
        self.pairs: Counter[Pair] = Counter()
        self.places: dict[Pair, set[str]] = defaultdict(set)
        for word in self.counts:
            self._note(word)

    def best_pair(self) -> tuple[Pair, int]:
        """Return the most frequent pair, ties by spelling, and how often it occurs."""
        most = max(self.pairs.values(), default=0)
        return min((pair for pair, count in self.pairs.items() if count == most), default=("", "")), most

    def join(self, pair: Pair) -> None:
        for word in self.places.pop(pair):
            for old in pairwise(self.parts[word]):
                self.pairs[old] -= self.counts[word]
            self.parts[word] = join_pair(self.parts[word], pair)
            self._note(word)
        del self.pairs[pair]

    def _note(self, word: str) -> None:
        for pair in pairwise(self.parts[word]):
            self.pairs[pair] += self.counts[word]
            self.places[pair].add(word)


def train(text: str, most_merges: int = MOST_MERGES) -> list[Pair]:
    """Return the merges learned from `text`, in the order in which they were learned."""
    corpus = _Corpus(text)
    merges: list[Pair] = []
    while len(merges) < most_merges:
        pair, count = corpus.best_pair()
        # What was seen only once says nothing about the next text.
        if count < 2:
            break
        merges.append(pair)
        corpus.join(pair)
    return merges


def training_text() -> str:
    texts = {
        name: (TEXTS / name).read_text(encoding="utf-8") for name in ("en.toml", "pt.toml", "common.txt")
    }
    # Everyday words count as seen twice, so that each of them is learned.
    return "\n".join([*texts.values(), texts["common.txt"]])


def main() -> None:
    lines = [f"{left} {right}\n" for left, right in train(training_text())]
    MERGES_FILE.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
