from itertools import cycle, islice

import pytest

from chatserver.upstream.simulator.answers.compose import Answer
from chatserver.upstream.simulator.script import Ending, spoil, stopped_at, write_script

ANSWER = Answer(pieces=list("abcd"), thoughts=["hm"])
CALLING = Answer(tool_calls=[{"id": "call_1"}])


def texts(script) -> str:
    return "".join(text for text, _ in script.pieces)


def test_thoughts_come_before_the_answer() -> None:
    script = write_script(ANSWER, 100)
    assert list(script.pieces)[:2] == [("hm", "thinking"), ("a", "answer")]
    assert (script.reason, script.ending) == ("stop", Ending.DONE)


def test_a_limit_cuts_and_is_told() -> None:
    script = write_script(ANSWER, 3)
    assert (texts(script), script.reason) == ("hmab", "length")
    assert write_script(ANSWER, 5).reason == "stop"
    assert texts(write_script(ANSWER, 0)) == ""


def test_tool_calls_have_their_own_line_or_the_last() -> None:
    assert list(write_script(CALLING, 100).pieces) == [('[{"id":"call_1"}]', "tool_calls")]
    last = write_script(CALLING, 100, calls_when_done=True)
    assert (list(last.pieces), last.extra) == ([], {"tool_calls": [{"id": "call_1"}]})


@pytest.mark.parametrize(
    ("fault", "ending"),
    [("cut", Ending.CUT), ("error-line", Ending.ERROR), ("drop", Ending.RESET), ("stall", Ending.SILENCE)],
)
def test_a_fault_ends_the_answer_in_its_middle(fault: str, ending: Ending) -> None:
    script = spoil(write_script(Answer(pieces=list("abcd")), 100), fault, ())
    assert (texts(script), script.ending) == ("ab", ending)


def test_repetition_ends_after_more_than_thirty_equal_tokens() -> None:
    script = spoil(write_script(ANSWER, 100), "repeat", ())
    assert [text for text, _ in script.pieces][-31:] == [" the"] * 31
    assert script.ending is Ending.CUT


def test_garbage_stands_in_the_middle_of_a_whole_answer() -> None:
    script = spoil(write_script(ANSWER, 100), "garbage", ())
    assert ("", "garbage") in list(script.pieces)[1:-1]
    assert (texts(script), script.ending) == ("hmabcd", Ending.DONE)


def test_an_endless_answer_goes_on_after_its_end_and_beyond_its_limit() -> None:
    script = spoil(write_script(ANSWER, 2), "endless", cycle(["x"]))
    assert len(list(islice(script.pieces, 10_000))) == 10_000


def test_an_endless_line_begins_in_the_middle() -> None:
    script = spoil(write_script(Answer(pieces=list("abcd")), 100), "endless-line", ())
    kinds = [kind for _, kind in islice(script.pieces, 1_000)]
    assert kinds == ["answer"] * 2 + ["unfinished"] * 998


def test_other_faults_leave_the_answer_alone() -> None:
    script = write_script(ANSWER, 100)
    assert texts(spoil(script, "slow-first-token", ())) == texts(script)


@pytest.mark.parametrize(
    ("stops", "shown"),
    [
        ([], "one two three"),
        (["two"], "one "),
        (["e t", "two"], "on"),
        (["four"], "one two three"),
        ([""], "one two three"),
        (["o"], ""),
    ],
)
def test_an_answer_ends_before_the_first_stop(stops: list[str], shown: str) -> None:
    assert "".join(stopped_at(["one", " two", " three"], stops)) == shown
