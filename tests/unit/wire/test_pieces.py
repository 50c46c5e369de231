"""Pieces on their way between instances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.errors import BadSharedData
from chatserver.generation.pieces import (
    Channel,
    Delta,
    Ending,
    Fault,
    Piece,
    Reset,
    ResetReason,
    Started,
    ToolCalls,
    Usage,
)
from chatserver.generation.states import Reason
from chatserver.wire.pieces import decode_piece, encode_piece
from tests.unit.properties import tried

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_OBJECTS = st.dictionaries(_TEXT, _JSON, max_size=3)
_COUNTS = st.integers(0, 2**40)

PIECES: st.SearchStrategy[Piece] = st.one_of(
    st.builds(Delta, st.sampled_from(Channel), _TEXT),
    st.builds(Started, _TEXT, st.integers(1, 9), context=st.none() | _OBJECTS),
    st.builds(ToolCalls, st.lists(_OBJECTS, max_size=3)),
    st.builds(Reset, st.sampled_from(ResetReason)),
    st.builds(
        Ending,
        st.sampled_from(Reason),
        _TEXT,
        st.none() | st.builds(Usage, _COUNTS, _COUNTS),
        st.none() | st.builds(Fault, _TEXT, _TEXT),
    ),
)


@tried(100)
@given(PIECES)
def test_every_piece_comes_back_as_it_was_from_one_line(piece):
    line = encode_piece(piece)
    assert b"\n" not in line
    assert decode_piece(line) == piece


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b"\xff",
        b'["answer"]',
        b'["answer",1]',
        b'["other","x"]',
        b'["end","why","h",0]',
        b'["end","completed","h",{"tokens":1},null]',
        b'["started","m",1,"nowhere",null]',
        b'["reset","x"]',
    ],
)
def test_what_nobody_of_us_wrote_is_refused(line):
    with pytest.raises(BadSharedData):
        decode_piece(line)
