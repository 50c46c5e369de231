from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.merge import Appended, History, Opened, Replica
from chatserver.generation.pieces import Channel
from chatserver.generation.position import START, Position
from tests.unit.generation.sample import STARTED, answer, ending, letters


def history(text: str, *epochs: tuple[int, int]) -> History:
    return History(tuple(Position(*begun) for begun in epochs or [(1, 0)]), tuple(letters(text)))


def appended(epoch: int, n: int, text: str) -> Appended:
    return Appended(Position(epoch, n), tuple(letters(text)))


def live(text: str, *epochs: tuple[int, int]) -> tuple[Replica, Feed]:
    feed = Feed("gen_1")
    replica = Replica(feed)
    replica.history(history(text, *epochs))
    return replica, feed


def text(feed: Feed) -> str:
    return feed.log.text(Channel.ANSWER)


# Hints


def test_a_new_replica_has_to_read_the_history_first():
    feed = Feed("gen_1")
    replica = Replica(feed)
    replica.hint(Opened(1, 0))
    replica.hint(appended(1, 1, "a"))

    assert replica.behind
    assert feed.log.epoch == 0


def test_hints_that_follow_on_are_placed_at_once():
    replica, feed = live("ab")

    replica.hint(appended(1, 3, "c"))
    replica.hint(Opened(2, 3))
    replica.hint(appended(2, 4, "de"))

    assert text(feed) == "abcde"
    assert feed.log.position == (2, 5)
    assert not replica.behind


def test_a_hint_that_comes_twice_changes_nothing():
    replica, feed = live("ab")

    for _ in range(2):
        replica.hint(appended(1, 2, "bc"))
        replica.hint(Opened(1, 0))

    assert text(feed) == "abc"
    assert not replica.behind


def test_a_hint_with_a_gap_before_it_asks_for_the_history_and_waits():
    replica, feed = live("ab")

    replica.hint(appended(1, 4, "d"))
    replica.hint(appended(1, 3, "c"))

    assert replica.behind
    assert text(feed) == "ab"
    replica.history(history("abc"))
    assert text(feed) == "abcd"
    assert not replica.behind


def test_a_piece_under_an_epoch_that_was_missed_asks_for_the_history():
    replica, feed = live("ab")

    replica.hint(appended(2, 3, "C"))

    assert replica.behind
    assert text(feed) == "ab"


def test_a_piece_under_a_missed_epoch_is_never_taken_for_one_that_is_known():
    replica, feed = live("abc")

    replica.hint(appended(2, 2, "B"))

    assert replica.behind
    replica.history(history("aB", (1, 0), (2, 1)))
    assert text(feed) == "aB"


def test_an_epoch_that_begins_beyond_what_is_known_asks_for_the_history():
    replica, feed = live("ab")

    replica.hint(Opened(2, 4))

    assert replica.behind
    assert feed.log.epoch == 1


def test_what_an_older_owner_says_late_is_ignored():
    replica, feed = live("abc")
    replica.hint(Opened(2, 2))

    replica.hint(Opened(1, 3))
    replica.hint(appended(1, 3, "c"))
    replica.hint(appended(1, 9, "x"))

    assert text(feed) == "ab"
    assert not replica.behind


def test_where_an_epoch_between_was_missed_the_history_is_read():
    replica, feed = live("abc")
    replica.hint(Opened(3, 2))

    assert replica.behind
    # The one between had begun from nothing, so that nothing of what was known is left.
    replica.history(history("ABd", (2, 0), (3, 2)))
    assert text(feed) == "ABd"


def test_another_log_than_the_one_that_was_followed_takes_its_place():
    replica, feed = live("ab")
    replica.hint(Opened(2, 1))
    replica.hint(appended(2, 2, "B"))

    # An older state of Redis was put back, and taken up from there.
    replica.history(history("abc", (1, 0), (3, 2)))
    assert text(feed) == "abc"


def test_an_epoch_makes_void_what_was_never_shared():
    replica, feed = live("abc")

    replica.hint(Opened(2, 2))
    replica.hint(appended(2, 3, "C"))

    assert text(feed) == "abC"


def test_after_the_end_every_hint_is_ignored():
    replica, feed = live("ab")
    replica.hint(Appended(Position(1, 3), (ending("ab"),)))

    replica.hint(Opened(2, 3))
    replica.hint(appended(1, 4, "x"))
    replica.hint(appended(1, 9, "x"))

    assert feed.log.position == (1, 3)
    assert not replica.behind


# History


def test_a_log_that_is_not_open_yet_has_an_empty_history():
    replica, feed = live("ab")
    empty = Replica(Feed("gen_2"))

    for one in (replica, empty):
        one.history(History((), ()))
        assert not one.behind
    assert text(feed) == "ab"


def test_history_comes_before_the_hints_that_arrived_while_it_was_read():
    feed = Feed("gen_1")
    replica = Replica(feed)
    replica.hint(appended(1, 2, "bc"))
    replica.hint(appended(1, 4, "d"))
    replica.history(history("ab"))

    assert text(feed) == "abcd"
    assert not replica.behind


def test_a_hint_that_does_not_follow_on_the_history_either_asks_again_and_is_kept():
    feed = Feed("gen_1")
    replica = Replica(feed)
    replica.hint(appended(1, 4, "d"))
    replica.hint(appended(1, 5, "e"))

    replica.history(history("ab"))
    assert replica.behind
    replica.history(history("abc"))
    assert not replica.behind
    assert text(feed) == "abcde"


def test_history_that_is_read_again_changes_nothing():
    replica, feed = live("abcd", (1, 0), (2, 2))
    news = []

    with Cursor(feed, START, lambda: news.append(1)):
        replica.history(history("abcd", (1, 0), (2, 2)))

    assert news == []
    assert feed.log.begun() == [(1, 0), (2, 2)]


def test_history_older_than_what_is_known_changes_nothing():
    replica, feed = live("abcd", (1, 0), (2, 2))

    replica.history(history("abc"))

    assert text(feed) == "abcd"
    assert feed.log.epoch == 2


def test_history_from_before_the_log_began_again_is_ignored():
    replica, feed = live("abcd", (1, 0), (2, 3))
    replica.hint(Opened(3, 1))

    replica.history(history("abcd", (1, 0), (2, 3)))

    assert text(feed) == "a"
    assert feed.log.begun() == [(1, 0), (3, 1)]


def test_history_brings_each_piece_under_its_own_epoch():
    _, feed = live("abcdef", (1, 0), (3, 2), (4, 2), (7, 5))

    assert [str(feed.log.position_of(n)) for n in range(1, 7)] == ["1.1", "1.2", "4.3", "4.4", "4.5", "7.6"]


def test_history_goes_on_from_what_is_known():
    replica, feed = live("ab")

    replica.history(history("abcDE", (1, 0), (2, 3)))

    assert text(feed) == "abcDE"
    assert feed.log.begun() == [(1, 0), (2, 3)]


def test_where_owner_and_log_were_lost_the_history_begins_again():
    replica, feed = live("abcd", (1, 0), (2, 2))

    replica.history(history("XY", (3, 0)))

    assert text(feed) == "XY"
    assert feed.log.locate(Position(1, 1)) is None
    assert feed.log.locate(Position(2, 3)) is None


def test_history_never_changes_what_has_ended():
    replica, feed = live("ab")
    replica.hint(Appended(Position(1, 3), (ending("ab"),)))

    replica.history(history("X", (2, 0)))

    assert text(feed) == "ab"
    assert feed.log.ended


def test_readers_are_woken_once_for_a_whole_history():
    feed = Feed("gen_1")
    feed.begin(1, 0)
    news = []

    with Cursor(feed, START, lambda: news.append(1)):
        Replica(feed).history(history("abcdefgh"))

    assert news == [1]


def test_while_history_is_read_only_so_many_hints_are_kept():
    feed = Feed("gen_1")
    replica = Replica(feed)
    for n in range(1, 1502):
        replica.hint(Appended(Position(1, n), (STARTED,)))

    assert len(replica._hints) == 1000
    replica.history(history("a"))
    # The oldest are gone: the gap shows, and the next read brings them.
    assert replica.behind
    assert replica._hints.maxlen == 1000


# Comparing the tops


def test_a_top_beyond_ours_asks_for_the_history():
    for top in [Position(1, 3), Position(2, 2), Position(2, 0)]:
        replica, _ = live("ab")
        replica.check(top)
        assert replica.behind


def test_a_top_that_is_ours_or_older_asks_for_nothing():
    replica, _ = live("abc", (1, 0), (2, 2))

    for top in [Position(2, 3), Position(2, 2), Position(1, 9), START]:
        replica.check(top)

    assert not replica.behind


def test_what_has_ended_lacks_nothing():
    replica, _ = live("ab")
    replica.hint(Appended(Position(1, 3), (ending("ab"),)))

    replica.check(Position(2, 9))

    assert not replica.behind


def test_a_reader_from_a_newer_epoch_need_not_forget_if_the_history_is_read_before():
    replica, feed = live("ab")
    position = Position(2, 4)

    replica.check(position)
    assert replica.behind
    replica.history(history("abcde", (1, 0), (2, 3)))

    with Cursor(feed, position, lambda: None) as cursor:
        assert cursor.read().entries == [((2, 5), answer("e"))]
