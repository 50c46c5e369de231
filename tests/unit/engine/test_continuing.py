import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.engine.continuing import Beginning, Begun, Seam, beginning_of
from chatserver.generation.log import TokenLog
from chatserver.generation.pieces import Channel, Delta, Ending, Piece, Reset, Started, ToolCalls, Usage
from chatserver.generation.states import Reason
from tests.unit.properties import tried

STARTED = Started("m", 1, context={"kept": []})


def answer(text: str) -> Delta:
    return Delta(Channel.ANSWER, text)


def thought(text: str) -> Delta:
    return Delta(Channel.THINKING, text)


def log_of(*pieces: Piece) -> TokenLog:
    log = TokenLog()
    log.begin(1, 0)
    for piece in pieces:
        log.add(piece)
    return log


def test_of_a_plain_answer_all_that_there_is_is_the_beginning() -> None:
    log = log_of(STARTED, thought("Hm."), answer("Hel"), answer("lo "))
    assert beginning_of(log, {}) == Beginning("Hello ", "Hm.", 3, {"kept": []})


def test_what_came_before_a_reset_is_no_part_of_it() -> None:
    log = log_of(STARTED, answer("Old"), Reset(), STARTED, answer("New"))
    found = beginning_of(log, {"tools": [], "format": None})
    assert found is not None
    assert (found.answer, found.pieces) == ("New", 1)


@pytest.mark.parametrize(
    ("pieces", "request_"),
    [
        ((), {}),
        ((STARTED,), {}),
        ((STARTED, thought("Hm")), {}),
        ((STARTED, answer(" \n")), {}),
        ((STARTED, answer("So "), thought("but")), {}),
        ((STARTED, answer("So"), ToolCalls([{"name": "f"}])), {}),
        ((STARTED, ToolCalls([{"name": "f"}]), answer("So")), {}),
        ((STARTED, answer("So"), Reset()), {}),
        ((STARTED, answer("So"), Ending(Reason.COMPLETED, "")), {}),
        ((STARTED, answer("{")), {"format": "json"}),
        ((STARTED, answer("So")), {"tools": [{}]}),
    ],
)
def test_what_is_not_the_beginning_of_a_plain_answer_is_not_gone_on_with(pieces, request_) -> None:
    assert beginning_of(log_of(*pieces), request_) is None


def test_a_beginning_is_told_without_the_white_space_at_its_end() -> None:
    assert Beginning("  One.\n\n", "", 2, None).told == "  One."


def test_what_a_beginning_takes_is_counted_in_bytes() -> None:
    assert Beginning("né", "hm", 2, None).size == 5


@pytest.mark.parametrize(
    ("beginning", "said", "text"),
    [
        ("One", [" two"], "One two"),
        ("One ", [" two"], "One two"),
        ("One ", ["two"], "One two"),
        ("One.\n\n", ["\n\nTwo"], "One.\n\nTwo"),
        ("One.\n\n", ["\n", "\n", "Two", "\n\nThree"], "One.\n\nTwo\n\nThree"),
        ("One.\n\n", ["\n", "Two"], "One.\n\nTwo"),
        ("One.\n", ["\n\n", "Two"], "One.\n\nTwo"),
        ("One. ", ["\n\nTwo"], "One. \n\nTwo"),
        ("One ", [" "], "One "),
        ("One ", [" ", " two"], "One  two"),
    ],
)
def test_white_space_at_the_seam_is_there_once(beginning, said, text) -> None:
    joined = Seam(beginning).take([answer(one) for one in said])
    assert beginning + "".join(piece.text for piece in joined if isinstance(piece, Delta)) == text


@tried(100)
@given(text=st.text("ab \n", min_size=1), cut=st.integers(0, 50), sizes=st.lists(st.integers(1, 4)))
def test_wherever_a_text_is_cut_its_rest_makes_it_whole(text: str, cut: int, sizes: list[int]) -> None:
    beginning = text[:cut]
    rest, seam, joined = text[len(beginning.rstrip()) :], Seam(beginning), beginning
    for size in [*sizes, len(rest)]:
        part, rest = rest[:size], rest[size:]
        for piece in seam.take([answer(part)]) if part else ():
            assert isinstance(piece, Delta)
            assert piece.text
            joined += piece.text
    assert joined == text


def test_thoughts_and_calls_have_no_seam() -> None:
    pieces = [thought(" hm"), ToolCalls([{"name": "f"}])]
    assert Seam("One ").take(pieces) == pieces


def test_what_was_told_again_is_no_prompt_and_what_was_made_before_counts() -> None:
    begun = Begun(Beginning("One", "Hm", 2, None), told=1, made=2)
    assert begun.whole(Usage(11, 7)) == Usage(10, 9)
    assert begun.whole(Usage(0, 7)) == Usage(0, 9)
