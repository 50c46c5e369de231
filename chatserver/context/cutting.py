"""Making texts fit: how much of the room each gets, and what stays of one, its beginning and its end."""

from collections.abc import Callable, Sequence

#: Stands where something was cut; for people and models to see.
MARK = "\n[… shortened …]\n"


def share(needs: Sequence[int], total: int) -> list[int]:
    """Give each what it needs where that fits; else the small ones that, and the large ones equal parts."""
    shares = [0] * len(needs)
    left = total
    for done, place in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        shares[place] = min(needs[place], left // (len(needs) - done))
        left -= shares[place]
    return shares


def cut_middle(text: str, tokens: int, most: int, count: Callable[[str], int]) -> tuple[str, int] | None:
    """Shorten a text of so many tokens to `most`, and count it; None where not even the mark fits."""
    kept = len(text) * most // max(tokens, 1)
    while kept > 0:
        shortened = _without_middle(text, kept)
        needed = count(shortened)
        if needed <= most:
            return shortened, needed
        # Tokens aren't evenly spread, so the first guess is only near; each further one is smaller.
        kept = min(kept - 1, kept * most // needed)
    return None


def _without_middle(text: str, kept: int) -> str:
    tail = kept // 2
    return text[: kept - tail] + MARK + text[len(text) - tail :]
