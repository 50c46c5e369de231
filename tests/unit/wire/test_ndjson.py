import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.errors import PayloadTooLarge
from chatserver.wire.ndjson import LineSplitter
from tests.unit.properties import PROPERTY

#: (the stream, its lines)
STREAMS = [
    (b"", []),
    (b"one", [b"one"]),
    (b"one\n", [b"one"]),
    (b"one\ntwo", [b"one", b"two"]),
    (b"\n\n \n\t\none\n\n", [b"one"]),
    (b'{"a":1}\r\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
    ("é\n😀".encode(), ["é".encode(), "😀".encode()]),
    (b"\x85\n\xa0\n", [b"\x85", b"\xa0"]),
]


def lines_of(chunks: list[bytes], longest: int = 1000) -> list[bytes]:
    splitter = LineSplitter(longest)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    # A carriage return is white space to JSON, so it may stay.
    return [line.rstrip(b"\r") for line in lines + splitter.flush()]


@pytest.mark.parametrize(("stream", "lines"), STREAMS)
def test_a_stream_is_cut_the_same_whole_and_byte_by_byte(stream, lines) -> None:
    assert lines_of([stream]) == lines
    assert lines_of([stream[i : i + 1] for i in range(len(stream))]) == lines
    for cut in range(len(stream)):
        assert lines_of([stream[:cut], stream[cut:]]) == lines


@PROPERTY
@given(st.lists(st.binary(max_size=12)), st.lists(st.integers(0, 200)))
def test_where_the_chunks_end_changes_nothing(parts, cuts) -> None:
    stream = b"\n".join(parts)
    ends = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    assert lines_of([stream[a:b] for a, b in pairwise(ends)]) == lines_of([stream])


def test_what_follows_the_last_line_break_is_given_once() -> None:
    splitter = LineSplitter(100)
    assert splitter.feed(b"one\nleft over") == [b"one"]
    assert splitter.flush() == [b"left over"]
    assert splitter.flush() == []
    assert splitter.feed(b"two\n") == [b"two"]


def test_a_line_that_never_ends_is_refused_at_its_bound() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"0123456789") == []
    with pytest.raises(PayloadTooLarge, match="longer than 10 bytes"):
        splitter.feed(b"x")


def test_a_line_at_the_bound_is_a_line() -> None:
    assert lines_of([b"01234", b"56789", b"\nnext"], longest=10) == [b"0123456789", b"next"]


def test_a_long_line_in_small_parts_costs_no_more_than_its_length() -> None:
    splitter = LineSplitter(2**22)
    splitter.feed(b"x" * 2**21)
    begun = time.process_time()
    for _ in range(3_000):
        assert splitter.feed(b"x") == []
    # Seconds, if what was there were copied each time.
    assert time.process_time() - begun < 0.2
    assert len(splitter.flush()[0]) == 2**21 + 3_000
