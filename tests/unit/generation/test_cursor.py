import pytest

from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed, Place
from chatserver.generation.pieces import Reset, ResetReason
from chatserver.generation.position import START, Position
from tests.unit.generation.sample import RESET, STARTED, answer, ending, feed_of, letters, stored_log

FORGET = (START, Reset(ResetReason.POSITION_UNKNOWN))


class News:
    """Counts how often a cursor said that a read may bring something."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def opened(feed: Feed, position: Position = START) -> Cursor:
    return Cursor(feed, position, News()).__enter__()


def read(cursor: Cursor) -> list:
    batch = cursor.read()
    return [] if batch is None else batch.entries


def test_a_reader_gets_what_is_there_and_then_what_is_new_and_nothing_twice():
    feed = feed_of(*letters("ab"))
    cursor = opened(feed)

    assert read(cursor) == [((1, 2), answer("ab"))]
    assert read(cursor) == []
    feed.extend(letters("cd"))
    assert read(cursor) == [((1, 4), answer("cd"))]
    assert cursor.position == (1, 4)


def test_a_reader_goes_on_after_the_position_it_gives_back():
    assert read(opened(feed_of(*letters("abcd")), Position(1, 3))) == [((1, 4), answer("d"))]


def test_a_slow_reader_finds_more_text_joined():
    feed = feed_of(STARTED)
    slow = opened(feed)

    for letter in letters("abcdef"):
        feed.add(letter)

    assert read(slow) == [((1, 1), STARTED), ((1, 7), answer("abcdef"))]


def test_a_reader_is_told_of_news_for_as_long_as_it_is_there():
    feed, news = feed_of(), News()

    with Cursor(feed, START, news):
        feed.add(STARTED)
        feed.extend(letters("ab"))
        assert feed.readers == 1
    feed.add(answer("c"))

    assert (feed.readers, news.count) == (0, 2)


def test_a_reader_leaves_when_it_fails_too():
    feed = feed_of()

    with pytest.raises(ConnectionResetError), Cursor(feed, START, News()):
        raise ConnectionResetError

    assert feed.readers == 0


def test_an_unknown_position_gets_a_reset_and_the_whole():
    cursor = opened(feed_of(STARTED, *letters("ab")), Position(7, 7))

    assert read(cursor) == [FORGET, ((1, 1), STARTED), ((1, 3), answer("ab"))]
    assert read(cursor) == []


def test_the_whole_after_a_reset_is_what_follows_the_last_failed_attempt():
    cursor = opened(feed_of(answer("x"), RESET, answer("a")), Position(7, 7))

    assert read(cursor) == [FORGET, ((1, 3), answer("a"))]


def test_a_reader_that_has_nothing_is_never_told_to_forget():
    assert read(opened(feed_of(answer("x"), RESET, answer("a")))) == [((1, 3), answer("a"))]


def test_a_reader_that_saw_what_was_never_shared_forgets_it_when_the_next_owner_begins():
    feed = feed_of(*letters("abc"))
    ahead, behind = opened(feed), opened(feed, Position(1, 1))
    read(ahead)

    feed.begin(2, 2)
    feed.add(answer("C"))

    assert read(ahead) == [FORGET, ((2, 3), answer("abC"))]
    assert read(behind) == [((2, 3), answer("bC"))]


def test_a_reader_forgets_at_once_even_if_nothing_is_left():
    feed = feed_of(*letters("abc"))
    cursor = opened(feed)
    read(cursor)

    feed.begin(2, 0)
    assert read(cursor) == [FORGET]
    assert cursor.position == START
    feed.add(answer("A"))
    assert read(cursor) == [((2, 1), answer("A"))]


def test_a_reader_ahead_of_the_log_waits_for_the_pieces_it_has_not_seen():
    feed = feed_of(*letters("ab"))
    cursor = opened(feed, Position(1, 4))

    assert read(cursor) == []
    feed.extend(letters("cd"))
    assert read(cursor) == []
    feed.add(answer("e"))
    assert read(cursor) == [((1, 5), answer("e"))]


def test_a_reader_ahead_of_an_ended_log_gets_the_whole():
    feed = feed_of(answer("a"))
    cursor = opened(feed, Position(1, 9))

    assert read(cursor) == []
    feed.add(ending("a"))
    assert read(cursor) == [FORGET, ((1, 1), answer("a")), ((1, 2), ending("a"))]


def test_a_reader_waits_until_a_log_is_open():
    feed = Feed("gen_1")
    cursor = opened(feed, Position(1, 4))

    assert read(cursor) == []
    feed.begin(2, 0)
    assert read(cursor) == [FORGET]


def test_a_reader_is_at_the_end_once_it_has_read_that():
    feed = feed_of(answer("a"))
    cursor = opened(feed)

    assert read(cursor) == [((1, 1), answer("a"))]
    assert not cursor.at_end
    feed.add(ending("a"))
    assert not cursor.at_end
    assert read(cursor) == [((1, 2), ending("a"))]
    assert cursor.at_end


def test_a_reader_that_comes_with_the_final_position_is_at_the_end_and_gets_nothing():
    for feed in [feed_of(answer("a"), ending("a")), Feed("gen_1", stored_log())]:
        cursor = opened(feed, feed.log.position)

        assert cursor.at_end
        assert read(cursor) == []


def test_a_reader_of_a_stored_log_that_stopped_before_its_end_gets_the_whole_again():
    feed = Feed("gen_1", stored_log())
    entries = read(opened(feed))

    for position, _ in entries[:-1]:
        assert read(opened(feed, position)) == [FORGET, *entries]


def test_a_reader_expects_more_until_it_has_read_the_end_or_the_rest_comes_elsewhere():
    ending_soon, stopped = feed_of(answer("a")), feed_of(answer("a"))
    cursor, news = opened(ending_soon), News()
    ending_soon.add(ending("a"))
    assert cursor.expects_more
    read(cursor)
    assert not cursor.expects_more

    with Cursor(stopped, START, news) as waiting:
        assert waiting.expects_more
        stopped.park()
        assert (waiting.expects_more, news.count) == (False, 1)


def test_the_place_in_the_queue_is_told_when_it_changes():
    feed = Feed("gen_1")
    feed.move(Place(2, 900))
    cursor = opened(feed)

    assert cursor.place() == Place(2, 900)
    assert cursor.place() is None
    feed.move(Place(1, 400))
    assert cursor.place() == Place(1, 400)


def test_there_is_no_place_in_the_queue_once_the_log_has_begun():
    feed = feed_of()
    feed.move(Place(1, None))
    feed.add(STARTED)

    assert opened(feed).place() is None
