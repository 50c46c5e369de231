import random
import string
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chatserver.upstream.simulator.merging import join_pair, merge
from chatserver.upstream.simulator.vocabulary import load_vocabulary
from tests.unit.properties import tried

RANK = load_vocabulary()._rank


@tried(100)
@given(st.text("etaoinshrdlu", max_size=40))
def test_merging_is_joining_the_earliest_pair_again_and_again(word: str) -> None:
    parts = list(word)
    while known := [pair for pair in pairwise(parts) if pair in RANK]:
        parts = join_pair(parts, min(known, key=RANK.__getitem__))
    assert merge(word, RANK) == parts


def test_equal_neighbours_are_joined_from_the_left() -> None:
    assert merge("aaaaa", {("a", "a"): 0}) == ["aa", "aa", "a"]
    assert merge("", {}) == []


def test_a_word_as_long_as_a_message_takes_no_longer_than_its_letters() -> None:
    letters = random.Random(1).choices(string.ascii_lowercase, k=100_000)
    assert "".join(merge("".join(letters), RANK)) == "".join(letters)
