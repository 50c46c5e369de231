from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.cutting import MARK, cut_middle, share
from tests.unit.properties import PROPERTY


def words(text: str) -> int:
    return len(text.split())


@PROPERTY
@given(st.lists(st.integers(0, 500), max_size=10), st.integers(0, 1000))
def test_room_is_shared_fairly(needs, total) -> None:
    shares = share(needs, total)
    assert sum(shares) <= total
    assert all(part <= need for part, need in zip(shares, needs, strict=True))
    short = [part for part, need in zip(shares, needs, strict=True) if part < need]
    # Who doesn't get all of it gets as much as anybody, give or take what a division leaves.
    assert all(part >= max(shares) - 1 for part in short)
    if sum(needs) <= total:
        assert shares == needs


def test_beginning_and_end_stay_and_the_middle_is_marked() -> None:
    text = " ".join(str(number) for number in range(1000))
    found = cut_middle(text, words(text), 40, words)
    assert found is not None
    shortened, tokens = found
    beginning, _, end = shortened.partition(MARK)
    assert text.startswith(beginning)
    assert text.endswith(end)
    assert 20 < tokens == words(shortened) <= 40


def test_where_not_even_the_mark_fits_nothing_is_made() -> None:
    assert cut_middle("one two three four five six", 6, 2, words) is None


@PROPERTY
@given(st.text(max_size=2000), st.integers(1, 400))
def test_what_is_made_never_counts_more_than_allowed(text, most) -> None:
    found = cut_middle(text, len(text.encode()), most, lambda part: len(part.encode()))
    if found is not None:
        shortened, tokens = found
        assert tokens == len(shortened.encode()) <= most
        beginning, mark, end = shortened.partition(MARK)
        assert mark
        assert text.startswith(beginning)
        assert text.endswith(end)
    else:
        assert most < len(MARK.encode()) + 8 or not text


def test_a_long_text_is_cut_in_a_few_looks() -> None:
    looks = []

    def count(text: str) -> int:
        looks.append(len(text))
        return len(text) // 3

    # One half costs three times what the other does.
    assert cut_middle("a" * 2**20, 2**19, 600, count) is not None
    assert len(looks) < 12
    assert max(looks) < 10_000
