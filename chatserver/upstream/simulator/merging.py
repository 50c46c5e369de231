"""Byte-pair merging: neighbours are joined, the earliest learned pair first."""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise

Pair = tuple[str, str]


def merge(letters: str, rank: Mapping[Pair, int]) -> list[str]:
    """Cut one word into tokens; in n log n, since a word may be as long as a message."""
    parts: list[str | None] = list(letters)
    following = list(range(1, len(parts) + 1))
    before = list(range(-1, len(parts)))
    queue = [(rank[pair], at) for at, pair in enumerate(pairwise(letters)) if pair in rank]
    heapify(queue)

    def pair_at(at: int) -> Pair | None:
        left = parts[at]
        right = parts[following[at]] if following[at] < len(parts) else None
        return (left, right) if left is not None and right is not None else None

    while queue:
        order, at = heappop(queue)
        pair = pair_at(at)
        # What was queued may have been joined with another neighbour since.
        if pair is None or rank.get(pair) != order:
            continue
        gone = following[at]
        parts[at], parts[gone] = "".join(pair), None
        following[at] = following[gone]
        before[following[at]] = at
        for start in (before[at], at):
            changed = pair_at(start) if start >= 0 else None
            if changed is not None and changed in rank:
                heappush(queue, (rank[changed], start))
    return [part for part in parts if part is not None]


def join_pair(parts: list[str], pair: Pair) -> list[str]:
    """Return `parts` with each occurrence of `pair` joined, from left to right."""
    joined: list[str] = []
    at = 0
    while at < len(parts):
        if tuple(parts[at : at + 2]) == pair:
            joined.append(parts[at] + parts[at + 1])
            at += 2
        else:
            joined.append(parts[at])
            at += 1
    return joined
