from typing import get_args

import pytest

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

EVERY_PIECE = [
    Started("m", 1),
    Delta(Channel.ANSWER, "a"),
    ToolCalls([]),
    Reset(),
    Ending(Reason.COMPLETED, "hash", Usage(1, 2), Fault("code", "detail")),
]


def test_there_is_a_sample_of_every_piece():
    assert {type(piece) for piece in EVERY_PIECE} == set(get_args(Piece))


@pytest.mark.parametrize("piece", EVERY_PIECE, ids=lambda piece: type(piece).__name__)
def test_a_piece_is_never_changed(piece):
    with pytest.raises(AttributeError):
        setattr(piece, type(piece).__match_args__[0], None)


def test_text_travels_on_two_channels():
    assert list(Channel) == ["answer", "thinking"]


def test_a_reset_of_the_log_says_that_an_attempt_failed():
    assert Reset().reason is ResetReason.ATTEMPT_FAILED
    assert list(ResetReason) == ["attempt_failed", "position_unknown"]


def test_an_ending_without_usage_or_error_says_so():
    ending = Ending(Reason.CANCELLED, "hash")

    assert (ending.usage, ending.error) == (None, None)
