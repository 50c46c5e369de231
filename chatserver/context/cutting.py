"""Shortening a text to a number of tokens: its beginning and end stay, the middle goes."""

from collections.abc import Callable

#: Stands where something was cut; for people and models to see.
MARK = "\n[… shortened …]\n"


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
