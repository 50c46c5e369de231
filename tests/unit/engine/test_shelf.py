from hypothesis import given
from hypothesis import strategies as st

from chatserver.engine.shelf import Shelf
from chatserver.generation.feed import Feed
from chatserver.generation.pieces import Channel, Delta, Ending
from chatserver.generation.principal import Principal
from chatserver.generation.states import Reason
from tests.unit.properties import PROPERTY

ALICE = Principal("default", "alice")
LOTS = 10**9


def finished(name: str, text: str = "") -> Feed:
    feed = Feed(name)
    feed.begin(1, 0)
    if text:
        feed.add(Delta(Channel.ANSWER, text))
    feed.add(Ending(Reason.COMPLETED, ""))
    return feed


def test_a_finished_log_is_found_with_whom_it_belongs_to_until_it_is_too_old() -> None:
    shelf, feed = Shelf(longest=300, most_bytes=LOTS), finished("gen_1")
    shelf.put(feed, ALICE, now=1000)
    shelf.tidy(1299.9)
    kept = shelf.get("gen_1")
    assert kept is not None
    assert (kept.feed, kept.principal) == (feed, ALICE)
    shelf.tidy(1300)
    assert shelf.get("gen_1") is None
    assert (len(shelf), shelf.size) == (0, 0)


def test_the_oldest_go_first_when_there_is_too_much() -> None:
    shelf = Shelf(longest=300, most_bytes=100_000)
    for n in range(10):
        shelf.put(finished(f"gen_{n}", "x" * 10_000), ALICE, now=n)
    assert shelf.size <= 100_000
    assert [shelf.get(f"gen_{n}") is not None for n in range(10)] == [False] * 6 + [True] * 4


def test_a_log_larger_than_the_shelf_is_not_kept_and_takes_nothing_with_it_for_ever() -> None:
    shelf = Shelf(longest=300, most_bytes=50_000)
    shelf.put(finished("large", "x" * 100_000), ALICE, now=0)
    assert (shelf.get("large"), shelf.size) == (None, 0)
    shelf.put(finished("small"), ALICE, now=1)
    assert shelf.get("small") is not None


def test_a_shelf_may_keep_nothing() -> None:
    for shelf in (Shelf(longest=0, most_bytes=LOTS), Shelf(longest=300, most_bytes=0)):
        shelf.put(finished("gen_1"), ALICE, now=0)
        assert (len(shelf), shelf.size) == (0, 0)


def test_forgetting_is_possible_at_any_time() -> None:
    shelf = Shelf(longest=300, most_bytes=LOTS)
    shelf.put(finished("gen_1"), ALICE, now=0)
    shelf.forget("gen_1")
    shelf.forget("gen_1")
    assert (shelf.get("gen_1"), shelf.size) == (None, 0)


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 200)), max_size=20), st.integers(0, 40_000))
def test_the_shelf_never_holds_more_than_it_may(logs, most_bytes) -> None:
    shelf, now = Shelf(longest=100, most_bytes=most_bytes), 0.0
    for n, (length, pause) in enumerate(logs):
        now += pause
        shelf.put(finished(f"gen_{n}", "x" * length), ALICE, now)
        kept = [each for each in (shelf.get(f"gen_{m}") for m in range(n + 1)) if each]
        assert shelf.size == sum(each.size for each in kept) <= most_bytes
        assert all(now - each.since < 100 for each in kept)
        assert len(shelf) == len(kept)
