import pytest

from chatserver.errors import GapInLog
from chatserver.generation.feed import Feed, Place
from chatserver.generation.position import Position
from tests.unit.generation.sample import STARTED, answer, ending, feed_of, letters


class Ear:
    def __init__(self, feed: Feed) -> None:
        self.told = 0
        feed.listen(self)

    def notify(self) -> None:
        self.told += 1


def test_whoever_listens_is_told_of_each_change():
    feed = Feed("gen_1")
    ear = Ear(feed)

    feed.move(Place(1, None))
    feed.begin(1, 0)
    feed.add(STARTED)
    feed.append(Position(1, 2), letters("a"))
    feed.begin(2, 2)

    assert ear.told == 5


def test_what_comes_together_is_told_once():
    feed = feed_of()
    ear = Ear(feed)

    feed.extend(letters("abc"))
    feed.append(Position(1, 4), letters("def"))

    assert ear.told == 2
    assert feed.log.top == 6


def test_nobody_is_told_of_what_was_known():
    feed = feed_of(*letters("ab"))
    feed.move(Place(1, None))
    ear = Ear(feed)

    feed.begin(1, 0)
    feed.append(Position(1, 1), letters("ab"))
    feed.move(Place(1, None))

    assert ear.told == 0


def test_pieces_that_overlap_add_what_is_new():
    feed = feed_of(*letters("abc"))
    ear = Ear(feed)

    feed.append(Position(1, 2), letters("bcd"))

    assert feed.log.since(0) == [((1, 4), answer("abcd"))]
    assert ear.told == 1


def test_pieces_beyond_the_next_leave_the_feed_as_it_was():
    feed = feed_of(*letters("ab"))
    ear = Ear(feed)

    with pytest.raises(GapInLog):
        feed.append(Position(1, 4), letters("de"))

    assert (feed.log.top, ear.told) == (2, 0)


def test_whoever_has_left_is_not_told():
    feed = feed_of()
    ear = Ear(feed)
    assert feed.readers == 1

    feed.leave(ear)
    feed.leave(ear)
    feed.add(STARTED)

    assert (feed.readers, ear.told) == (0, 0)


def test_readers_at_one_position_share_a_batch_and_what_it_was_encoded_to():
    feed = feed_of(*letters("abc"))
    _readers = Ear(feed), Ear(feed)

    feed.batch(1).encoded = b"..."

    assert feed.batch(1) is feed.batch(1)
    assert feed.batch(1).encoded == b"..."
    assert feed.batch(2) is not feed.batch(1)


def test_a_batch_is_not_shared_beyond_the_next_change():
    feed = feed_of(*letters("abc"))
    before = feed.batch(1)

    feed.add(answer("d"))
    assert feed.batch(1).entries == [((1, 4), answer("bcd"))]
    feed.begin(2, 2)
    assert feed.batch(1).entries == [((1, 2), answer("b"))]
    assert before.entries == [((1, 3), answer("bc"))]


def test_there_is_no_batch_at_the_top_or_beyond():
    feed = feed_of(*letters("abc"))

    assert feed.batch(3) is None
    assert feed.batch(7) is None


def test_however_many_positions_are_read_few_batches_are_kept():
    feed = feed_of(*letters("a" * 100))
    _readers = Ear(feed), Ear(feed)

    for n in range(100):
        assert feed.batch(n).entries[-1][0] == (1, 100)

    assert len(feed._batches) == 32


def test_when_the_last_reader_of_an_ended_log_leaves_no_batch_is_kept():
    feed = feed_of(answer("a"), ending("a"))
    first, last = Ear(feed), Ear(feed)
    feed.batch(0)

    feed.leave(first)
    assert feed._batches
    feed.leave(last)
    assert not feed._batches
