"""What the heart promises as a whole, one test a promise, in the order of its docstring."""

import ast
from pathlib import Path

import pytest

import chatserver.generation
from chatserver.errors import GapInLog, LogEnded, StaleEpoch
from chatserver.generation.cursor import Cursor
from chatserver.generation.feed import Feed
from chatserver.generation.merge import Appended, History, Opened, Replica
from chatserver.generation.pieces import Channel, Ending
from chatserver.generation.position import START, Position
from tests.unit.generation.sample import STARTED, answer, ending, feed_of, letters, log_of

HEART = Path(chatserver.generation.__file__).parent


def test_every_module_of_the_heart_has_its_tests():
    modules = {path.stem for path in HEART.glob("*.py")} - {"__init__"}

    assert {f"test_{module}.py" for module in modules} <= {
        path.name for path in Path(__file__).parent.iterdir()
    }


def test_numbers_are_dense_and_a_position_names_one_piece_for_ever():
    log, seen = log_of(), {}

    for epoch, kept, text in [(1, 0, "abcd"), (2, 2, "CDE"), (5, 5, "f"), (6, 1, "XY")]:
        log.begin(epoch, kept)
        for letter in letters(text):
            log.add(letter)
            assert log.top == log.position.n
            assert seen.setdefault(log.position, letter) is letter

    assert [log.position_of(n).n for n in range(1, log.top + 1)] == list(range(1, log.top + 1))
    assert len(seen) == 10


def test_what_is_known_changes_nothing_and_what_is_beyond_the_next_is_a_gap_that_the_history_fills():
    feed = feed_of(*letters("ab"))
    feed.append(Position(1, 1), letters("ab"))
    with pytest.raises(GapInLog):
        feed.append(Position(1, 4), letters("d"))

    replica = Replica(feed)
    replica.history(History((Position(1, 0),), tuple(letters("abc"))))
    feed.append(Position(1, 4), letters("d"))

    assert feed.log.text(Channel.ANSWER) == "abcd"


def test_one_owner_writes_at_a_time_and_positions_tell_who_read_what_is_void():
    log = log_of(*letters("abcd"))

    log.begin(3, 2)

    with pytest.raises(StaleEpoch):
        log.begin(2, 2)
    assert not log.append(Position(1, 3), answer("c"))
    known = [n for n in range(5) if log.locate(Position(1, n)) is not None]
    assert known == [0, 1, 2]


def test_the_last_piece_says_how_it_ended_and_readers_end_by_reading_it():
    feed = feed_of(answer("a"))
    with Cursor(feed, START, lambda: None) as cursor:
        feed.add(ending("a"))
        batch = cursor.read()

        assert batch is not None
        assert isinstance(batch.entries[-1][1], Ending)
        assert cursor.at_end
        with pytest.raises(LogEnded):
            feed.add(answer("b"))
        assert cursor.read() is None


@pytest.mark.parametrize("module", ["cursor", "feed", "log", "merge", "pieces", "position", "states"])
def test_the_heart_is_plain_data_without_clock_network_or_event_loop(module):
    tree = ast.parse((HEART / f"{module}.py").read_text())

    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name) or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    outside = {name for name in imported if not name.startswith("chatserver.generation.")}
    assert outside <= {
        "chatserver.errors",
        "collections",
        "collections.abc",
        "dataclasses",
        "enum",
        "hashlib",
        "itertools",
        "re",
        "typing",
    }
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree))


def test_a_reader_cannot_tell_whether_the_log_is_filled_here_or_elsewhere():
    here, elsewhere = Feed("gen_1"), Feed("gen_1")
    replica = Replica(elsewhere)
    replica.history(History((), ()))
    with Cursor(here, START, lambda: None) as near, Cursor(elsewhere, START, lambda: None) as far:
        for epoch, n, pieces in [
            (1, 0, [STARTED, *letters("abc")]),
            (2, 4, letters("de")),
            (3, 5, [*letters("E"), ending("abcdE")]),
        ]:
            here.begin(epoch, n)
            here.extend(pieces)
            replica.hint(Opened(epoch, n))
            replica.hint(Appended(Position(epoch, n + 1), tuple(pieces)))

            assert near.read().entries == far.read().entries
        assert near.at_end
        assert far.at_end


def test_nothing_a_reader_does_changes_slows_or_ends_a_run():
    feed = feed_of(STARTED)
    never_reads = Cursor(feed, START, lambda: None).__enter__()
    for text in "abc":
        with Cursor(feed, Position(9, 9), lambda: None) as cursor:
            cursor.read()
            feed.add(answer(text))

    assert feed.readers == 1
    assert never_reads.position == START
    assert feed.log.since(1) == [((1, 4), answer("abc"))]
