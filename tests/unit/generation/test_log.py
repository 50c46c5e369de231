from collections.abc import Iterable

import pytest

from chatserver.errors import GapInLog, LogEnded, StaleEpoch
from chatserver.generation.log import Entry, StoredLog, TokenLog, text_sha256
from chatserver.generation.pieces import Channel, Started, ToolCalls
from chatserver.generation.position import START, Position
from tests.unit.generation.sample import (
    RESET,
    STARTED,
    answer,
    ending,
    letters,
    log_of,
    stored_log,
    thinking,
)

# Filling


def test_a_new_log_is_empty_and_at_the_start():
    log = TokenLog()

    assert (log.top, log.epoch, log.position, log.ended, log.ending) == (0, 0, START, False, None)
    assert log.since(0) == []


def test_nothing_is_added_before_an_epoch_has_begun():
    with pytest.raises(StaleEpoch):
        TokenLog().add(STARTED)
    with pytest.raises(StaleEpoch):
        TokenLog().append(Position(0, 1), STARTED)


def test_pieces_are_numbered_from_one_without_a_gap():
    log = log_of(*letters("abc"))

    assert [log.position_of(n) for n in range(4)] == [START, (1, 1), (1, 2), (1, 3)]
    assert log.position == (1, 3)


def test_appending_what_is_known_changes_nothing():
    log = log_of(*letters("ab"))

    assert log.append(Position(1, 2), answer("x")) is False
    assert log.text(Channel.ANSWER) == "ab"


def test_appending_beyond_the_next_is_a_gap_that_says_what_is_missing():
    log = log_of(*letters("ab"))

    with pytest.raises(GapInLog) as gap:
        log.append(Position(1, 4), answer("d"))

    assert (gap.value.expected, gap.value.got) == (3, 4)
    assert log.top == 2


def test_appending_under_an_epoch_that_has_not_begun_here_is_a_gap():
    log = log_of(*letters("ab"))

    with pytest.raises(GapInLog):
        log.append(Position(2, 3), answer("c"))
    with pytest.raises(GapInLog):
        log.append(Position(2, 1), answer("c"))


def test_what_an_older_owner_appends_is_void():
    log = log_of(*letters("ab"))
    log.begin(2, 2)

    assert log.append(Position(1, 3), answer("x")) is False
    assert log.append(Position(2, 3), answer("c")) is True
    assert log.text(Channel.ANSWER) == "abc"


def test_nothing_follows_the_end():
    log = log_of(answer("a"), ending("a"))

    with pytest.raises(LogEnded):
        log.add(answer("b"))
    with pytest.raises(LogEnded):
        log.append(Position(1, 3), answer("b"))
    with pytest.raises(LogEnded):
        log.begin(2, 2)
    assert log.append(Position(1, 2), ending("a")) is False
    assert log.ending == ending("a")


# Epochs


def test_an_epoch_begins_once():
    log = log_of(*letters("ab"))

    assert log.begin(2, 2) is True
    log.add(answer("c"))
    assert log.begin(2, 2) is False
    assert log.begin(1, 0) is False
    assert log.text(Channel.ANSWER) == "abc"


def test_an_epoch_that_wrote_nothing_is_remembered_too():
    log = log_of(*letters("ab"))
    log.begin(2, 2)
    log.begin(3, 2)

    assert log.begin(2, 2) is False
    assert log.begun() == [(1, 0), (2, 2), (3, 2)]


def test_a_new_epoch_makes_void_what_was_written_beyond_it():
    log = log_of(*letters("abc"))

    log.begin(2, 1)
    log.add(answer("B"))

    assert log.since(0) == [((2, 2), answer("aB"))]
    assert log.characters == 2


def test_a_new_epoch_may_make_a_reset_void_too():
    log = log_of(answer("a"), RESET, answer("b"))

    log.begin(2, 1)

    assert log.begins_at == 0
    assert log.text(Channel.ANSWER) == "a"


def test_an_older_epoch_never_begins_again():
    log = log_of(*letters("abc"))
    log.begin(3, 3)

    with pytest.raises(StaleEpoch):
        log.begin(2, 3)


def test_epoch_zero_is_nobodys():
    with pytest.raises(StaleEpoch):
        TokenLog().begin(0, 0)


def test_an_epoch_beyond_the_top_is_a_gap():
    log = log_of(*letters("abc"))

    with pytest.raises(GapInLog) as gap:
        log.begin(2, 5)

    assert (gap.value.expected, gap.value.got) == (4, 6)
    assert log.epoch == 1


def test_numbers_go_on_through_a_new_epoch():
    log = log_of(*letters("ab"))
    log.begin(4, 2)
    log.add(answer("c"))

    assert [str(log.position_of(n)) for n in (1, 2, 3)] == ["1.1", "1.2", "4.3"]
    assert log.begun() == [(1, 0), (4, 2)]


def test_an_epoch_without_a_piece_gives_no_position():
    log = log_of(*letters("ab"))
    log.begin(2, 2)
    log.begin(3, 2)
    log.add(answer("c"))

    assert [str(log.position_of(n)) for n in (2, 3)] == ["1.2", "3.3"]


def test_where_a_log_begins_again_from_less_later_epochs_never_happened():
    log = log_of(*letters("abc"))
    log.begin(2, 3)
    log.add(answer("d"))

    log.begin(3, 1)

    assert log.begun() == [(1, 0), (3, 1)]
    assert log.locate(Position(1, 2)) is None
    assert log.locate(Position(2, 4)) is None


# Where a reader stands


def test_the_start_is_always_known_and_never_void():
    assert TokenLog().locate(START) == 0
    assert log_of(*letters("ab")).locate(START) == 0
    assert log_of(answer("a"), RESET, answer("b")).locate(START) == 2


def test_a_position_of_an_older_epoch_is_known_up_to_where_the_next_began():
    log = log_of(*letters("abc"))
    log.begin(2, 2)
    log.add(answer("C"))

    assert log.locate(Position(1, 2)) == 2
    assert log.locate(Position(1, 3)) is None
    assert log.locate(Position(2, 3)) == 3


def test_an_epoch_that_never_began_is_unknown():
    log = log_of(*letters("abc"))
    log.begin(5, 3)

    assert log.locate(Position(0, 1)) is None
    assert log.locate(Position(3, 1)) is None
    assert log.locate(Position(6, 1)) is None


def test_beyond_the_top_of_the_newest_epoch_a_reader_waits_while_the_log_goes_on():
    log = log_of(*letters("ab"))

    assert log.locate(Position(1, 7)) == 7
    log.add(ending("ab"))
    assert log.locate(Position(1, 7)) is None


def test_before_a_log_is_open_any_reader_waits():
    assert TokenLog().locate(Position(4, 7)) == 7


def test_the_final_position_of_an_ended_log_is_known():
    log = log_of(answer("a"), ending("a"))

    assert log.locate(log.position) == log.top


# Reading


def test_neighbouring_deltas_of_one_channel_are_joined_up_to_the_last_ones_position():
    log = log_of(STARTED, thinking("h"), thinking("m"), *letters("abc"), thinking("!"), answer("d"))

    assert log.since(0) == [
        ((1, 1), STARTED),
        ((1, 3), thinking("hm")),
        ((1, 6), answer("abc")),
        ((1, 7), thinking("!")),
        ((1, 8), answer("d")),
    ]


def test_what_is_between_two_deltas_keeps_them_apart():
    calls = ToolCalls([{"function": {"name": "now"}}])
    log = log_of(answer("a"), calls, answer("b"))

    assert log.since(0) == [((1, 1), answer("a")), ((1, 2), calls), ((1, 3), answer("b"))]


def test_deltas_of_two_owners_are_joined_under_the_newer_ones_position():
    log = log_of(*letters("ab"))
    log.begin(2, 2)
    log.add(answer("c"))

    assert log.since(1) == [((2, 3), answer("bc"))]


def test_a_reader_gets_what_follows_its_number_wherever_that_is():
    log = log_of(STARTED, *letters("abcd"), ending("abcd"))

    for n in range(log.top + 1):
        text = "".join(piece.text for _, piece in log.since(n) if isinstance(piece, type(answer(""))))
        assert text == "abcd"[max(n - 1, 0) :]


def test_reading_does_not_change_the_log():
    log = log_of(*letters("abc"))
    log.since(0)

    assert log.since(1) == [((1, 3), answer("bc"))]


def test_before_the_last_reset_a_reader_gets_that_reset_and_nothing_older():
    log = log_of(answer("a"), RESET, answer("b"), answer("c"), RESET, STARTED, answer("d"))
    whole = [((1, 5), RESET), ((1, 6), STARTED), ((1, 7), answer("d"))]

    assert [log.since(n) for n in range(1, 5)] == [whole] * 4
    assert log.since(5) == whole[1:]


def test_text_calls_and_hash_are_those_since_the_last_reset():
    calls = [{"function": {"name": "now"}}]
    log = log_of(
        answer("x"), ToolCalls([{}]), RESET, thinking("hm"), answer("é"), ToolCalls(calls), answer("!")
    )

    assert (log.text(Channel.ANSWER), log.text(Channel.THINKING)) == ("é!", "hm")
    assert log.tool_calls() == calls
    assert log.sha256() == text_sha256("é!")
    assert log.begins_at == 3


def test_characters_are_counted_with_those_that_are_void_but_held():
    assert log_of(answer("ab"), RESET, thinking("hm"), answer("c")).characters == 5


def test_the_hash_is_of_the_text_as_utf_8():
    assert text_sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert text_sha256("é") == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


# What the store keeps


def test_a_stored_log_gives_the_whole_and_then_the_final_position():
    log = stored_log()

    assert [piece for _, piece in log.since(0)] == [STARTED, thinking("hm"), answer("abc"), ending("abc")]
    assert log.since(0)[-1][0] == log.position == (2, 9)
    assert log.ended


def test_a_stored_log_knows_the_start_and_the_final_position_alone():
    log = stored_log()

    assert log.locate(START) == 0
    assert log.locate(Position(2, 9)) == log.top
    for unknown in [Position(1, 1), Position(2, 4), Position(2, 8), Position(2, 10), Position(0, 1)]:
        assert log.locate(unknown) is None


def test_the_numbers_of_a_stored_log_before_its_end_name_nothing_in_any_other_log():
    own = [position for position, _ in stored_log().since(0)[:-1]]
    elsewhere = log_of(STARTED, *letters("abc"))

    assert len(set(own)) == len(own)
    for position in own:
        assert position != START
        assert elsewhere.locate(position) is None


def test_an_ending_may_be_all_there_is():
    log = StoredLog([ending("")], Position(1, 1))

    assert log.since(0) == [((1, 1), ending(""))]
    assert log.locate(Position(1, 1)) == log.top


# What the store has more than was followed


WRITTEN = [STARTED, thinking("h"), thinking("m"), *letters("abcde")]
STORED = StoredLog([STARTED, thinking("hm"), answer("abcde"), ending("abcde")], Position(1, 9))
#: How much of it may be known for one piece to be the rest.
ENOUGH = range(3, len(WRITTEN))


def kept(entries: Iterable[Entry]) -> tuple[str, str]:
    log = log_of(*(piece for _, piece in entries))
    return log.text(Channel.THINKING), log.text(Channel.ANSWER)


@pytest.mark.parametrize("known", ENOUGH)
def test_who_has_read_what_was_known_gets_the_missing_rest_and_the_end(known: int) -> None:
    whole = log_of(*WRITTEN)
    log = STORED.after(log_of(*WRITTEN[:known]))

    for n in range(1, known + 1):
        assert log.locate(Position(1, n)) == n
        had = [(whole.position_of(each), WRITTEN[each - 1]) for each in range(1, n + 1)]
        rest = log.since(n)
        assert kept(had + rest) == ("hm", "abcde")
        assert rest[-1] == ((1, 9), ending("abcde"))
    assert kept(log.since(log.locate(START) or 0)) == ("hm", "abcde")
    assert log.since(0)[0] == ((1, 1), STARTED)
    assert (log.ended, log.position, log.locate(Position(1, 9))) == (True, (1, 9), log.top)


@pytest.mark.parametrize("known", ENOUGH)
def test_who_has_read_more_than_was_known_or_nothing_of_it_has_to_forget(known: int) -> None:
    log = STORED.after(log_of(*WRITTEN[:known]))

    for unknown in [*(Position(1, n) for n in range(known + 1, 8)), Position(2, 1), Position(0, 1)]:
        assert log.locate(unknown) is None


def test_the_rest_has_the_number_of_the_last_piece_before_the_end() -> None:
    log, whole = STORED.after(log_of(*WRITTEN[:4])), log_of(*WRITTEN, ending("abcde"))

    assert log.since(4) == [((1, 8), answer("bcde")), ((1, 9), ending("abcde"))]
    for position, _ in log.since(0):
        assert kept(log.since(log.locate(position) or 0)) == kept(whole.since(whole.locate(position) or 0))


def test_calls_of_tools_may_be_what_is_missing() -> None:
    calls = [{"id": 1}, {"id": 2}]
    stored = StoredLog([STARTED, answer("a"), ToolCalls(calls), ending("a")], Position(1, 6))
    log = stored.after(log_of(STARTED, answer("a"), ToolCalls(calls[:1])))

    assert log.since(3) == [((1, 5), ToolCalls(calls[1:])), ((1, 6), ending("a"))]


def test_a_reset_that_was_followed_stays_where_it_was() -> None:
    again = Started("llama3.2", 2)
    known = log_of(STARTED, answer("x"), RESET, again, answer("a"))
    log = StoredLog([again, answer("ab"), ending("ab")], Position(1, 7)).after(known)

    assert log.since(log.locate(Position(1, 2)) or 0)[0] == ((1, 3), RESET)
    assert kept(log.since(log.locate(START) or 0))[1] == "ab"
    assert log.since(log.locate(Position(1, 5)) or 0)[0][1] == answer("b")


@pytest.mark.parametrize(
    "known",
    [
        log_of(),
        log_of(STARTED, thinking("hm"), answer("x")),
        log_of(STARTED, thinking("mh")),
        log_of(STARTED, thinking("hm"), answer("a"), ToolCalls([{"id": 2}])),
        # More than one piece is missing.
        log_of(STARTED, thinking("h")),
        log_of(STARTED, thinking("hm"), answer("abcde"), answer("f")),
        log_of(Started("llama3.2", 2), thinking("hm"), answer("a")),
        log_of(STARTED, thinking("hm"), answer("a"), RESET),
        log_of(*WRITTEN),
    ],
)
def test_what_is_no_beginning_of_the_stored_is_left_for_it(known: TokenLog) -> None:
    assert STORED.after(known) is STORED


def test_what_is_known_under_another_epoch_is_left_for_the_stored() -> None:
    known = log_of(STARTED, thinking("hm"), answer("a"))
    known.begin(2, 3)

    assert STORED.after(known) is STORED
