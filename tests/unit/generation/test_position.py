import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.errors import MalformedPosition
from chatserver.generation.position import START, Position
from tests.unit.properties import PROPERTY

POSITIONS = st.builds(Position, st.integers(0, 999_999_999), st.integers(0, 999_999_999_999))


@PROPERTY
@given(POSITIONS)
def test_a_position_comes_back_as_it_was_given(position):
    assert Position.parse(str(position)) == position


def test_a_position_is_written_as_epoch_and_number():
    assert f"{Position(3, 17)}" == "3.17"
    assert str(START) == "0.0"


def test_the_largest_position_fits_a_64_bit_column():
    assert max(Position.parse("999999999.999999999999")) < 2**63


def test_a_newer_epoch_is_beyond_any_number_of_an_older_one():
    assert START < Position(1, 9) < Position(2, 3) < Position(2, 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        ".",
        "1.",
        ".1",
        "1.2.3",
        "01.2",
        "1.02",
        "-1.2",
        "+1.2",
        "1.2\n",
        " 1.2",
        "1_0.2",
        "1,2",
        "٣.٤",
        "1٣.2",
        "1e3.2",
        "1000000000.1",
        "1.1000000000000",
        "null",
    ],
)
def test_what_no_log_ever_gave_is_malformed(text):
    with pytest.raises(MalformedPosition) as refused:
        Position.parse(text)

    assert refused.value.status == 422
    assert refused.value.facts == {"field": "after"}
