import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatserver.context.counting import Estimate, Measure, Overhead
from chatserver.context.cutting import MARK
from chatserver.context.exchanges import Entry
from chatserver.context.report import counted
from chatserver.context.window import Budget, CountedSummary, CountedText, Window, fit, preview, whole
from chatserver.errors import ContextTooLong
from tests.unit.properties import PROPERTY

MEASURE = Measure(Estimate(), Overhead(message=4, prompt=3))
BUDGET = Budget(total=4000, history=2000)


def text(content: str) -> CountedText:
    return CountedText(content, MEASURE.counter.count(content))


def summary(content: str, messages: int) -> CountedSummary:
    return CountedSummary(content, MEASURE.counter.count(content), f"m{messages}", messages)


def branch(*contents: str) -> list[Entry]:
    """Questions and answers in turns, of which the last is the question; newest first."""
    entries = [
        Entry(
            f"m{depth}",
            {"role": "user" if (len(contents) - depth) % 2 == 0 else "assistant", "content": content},
            MEASURE.counter.count(content),
            depth,
        )
        for depth, content in enumerate(contents, 1)
    ]
    return entries[::-1]


def tokens(window: Window) -> int:
    """What the template makes of it, counted anew."""
    return (
        sum(map(MEASURE.message, window.messages))
        + MEASURE.overhead.message * len(window.messages)
        + MEASURE.overhead.prompt
    )


def words(count: int) -> str:
    """So many tokens, as they are counted here."""
    return "ab " * count


def test_a_short_conversation_is_shown_whole() -> None:
    window = fit(text("Be kind."), None, branch("Hi", "Hello!", "How are you?"), BUDGET, MEASURE)
    assert window.messages == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "How are you?"},
    ]
    report = window.report.as_json()
    assert report == {
        "kept": ["m1", "m2", "m3"],
        "cut": [],
        "summarised": 0,
        "summary_reaches": None,
        "left_out": 0,
        "left_out_to": None,
        "tokens": {"system": 3, "summary": 0, "history": 3, "question": 4, "template": 19, "total": 29},
        "exact": False,
        "budget": {"total": 4000, "history": 2000},
        "complexity": "simple",
    }
    assert counted(report, None) == {**report, "prompt_eval_count": None, "difference": None}
    assert counted(report, 31) == {**report, "prompt_eval_count": 31, "difference": 2}


def test_history_takes_its_part_and_whole_exchanges_only() -> None:
    question = "Which rivers flow through Germany, and which of them reach the sea?"
    window = fit(None, None, branch(*[words(300)] * 20, question), BUDGET, MEASURE)
    # Three exchanges of 608 tokens fit into 2,000.
    assert window.report.kept == tuple(f"m{depth}" for depth in range(15, 22))
    assert (window.report.left_out, window.report.left_out_to) == (14, "m14")
    assert window.messages[0]["role"] == "user"


@pytest.mark.parametrize(
    ("question", "kept"), [("Thanks!", 4), ("Compare Rome and Athens.", 6), ("Recap it in detail.", 12)]
)
def test_the_more_a_question_asks_for_the_more_it_may_look_back_on(question, kept) -> None:
    window = fit(None, None, branch(*[words(300)] * 40, question), BUDGET, MEASURE)
    assert (len(window.report.kept), window.report.cut) == (kept + 1, ())
    assert tokens(window) == window.report.tokens.total <= BUDGET.total


def test_the_newest_messages_are_shown_in_any_case_cut_where_they_are_too_long() -> None:
    window = fit(None, None, branch(*[words(3000)] * 6, "Compare Rome and Athens."), BUDGET, MEASURE)
    assert window.report.cut == ("m3", "m4", "m5", "m6")
    assert all(MARK in message["content"] for message in window.messages[:-1])
    assert 1900 < window.report.tokens.history <= 2000


def test_a_question_is_never_cut_while_the_total_allows_it() -> None:
    asked = words(3990)
    window = fit(text(words(500)), None, branch("Hi", "Hello!", asked), BUDGET, MEASURE)
    assert window.messages == [{"role": "user", "content": asked}]
    assert window.report.cut == ("system",)
    assert (window.report.left_out, window.report.tokens.total) == (2, 3997)


def test_a_question_that_the_total_does_not_allow_is_cut_in_its_middle() -> None:
    window = fit(None, None, branch(words(5000)), BUDGET, MEASURE)
    assert window.report.cut == ("m1",)
    assert MARK in window.messages[0]["content"]
    assert 3900 < tokens(window) <= 4000


def test_a_question_of_many_parts_that_cant_be_cut_to_fit_is_refused() -> None:
    calls = [Entry(f"t{n}", {"role": "tool", "content": words(50)}, 50, n) for n in range(90, 1, -1)]
    asked = Entry("m1", {"role": "user", "content": "Go"}, 1, 1)
    with pytest.raises(ContextTooLong):
        fit(None, None, [*calls, asked], Budget(2000, 1000), MEASURE)


def test_a_long_system_prompt_leaves_room_for_what_was_said() -> None:
    window = fit(text(words(6000)), None, branch("Hi", "Hello!", "Recap it all so far."), BUDGET, MEASURE)
    assert window.report.kept == ("m1", "m2", "m3")
    assert window.report.cut == ("system",)
    assert 2500 < window.report.tokens.system < 3000


def test_a_summary_stands_for_what_is_left_out() -> None:
    told = summary("- name: Ada", 12)
    window = fit(text("Be kind."), told, branch(*[words(300)] * 20, "Compare them."), BUDGET, MEASURE)
    head = window.messages[0]["content"]
    assert head.startswith("Be kind.\n\n")
    assert head.endswith("\n- name: Ada")
    report = window.report
    assert (report.summarised, report.summary_reaches, report.left_out, report.left_out_to) == (
        12,
        "m12",
        2,
        "m14",
    )
    assert report.tokens.summary > 0


def test_a_summary_that_reaches_into_what_is_shown_leaves_nothing_out() -> None:
    window = fit(None, summary("Short.", 17), branch(*[words(300)] * 20, "Compare."), BUDGET, MEASURE)
    assert (window.report.summarised, window.report.left_out, window.report.left_out_to) == (14, 0, None)


def test_a_summary_is_not_needed_where_everything_is_shown() -> None:
    window = fit(None, summary("Short.", 1), branch("Hi", "Hello!", "Thanks!"), BUDGET, MEASURE)
    assert window.messages[0] == {"role": "user", "content": "Hi"}
    assert window.report.summary_reaches is None


def test_a_call_is_never_parted_from_its_result() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look"}}]}
    newest_first = [
        Entry("m6", {"role": "user", "content": "Compare them."}, 5, 6),
        Entry("m5", {"role": "assistant", "content": words(900)}, 900, 5),
        Entry("m4", {"role": "tool", "content": words(900)}, 900, 4),
        Entry("m3", call, 20, 3),
        Entry("m2", {"role": "user", "content": "Look it up."}, 4, 2),
    ]
    window = fit(None, None, newest_first, BUDGET, MEASURE)
    assert window.report.kept == ("m2", "m3", "m4", "m5", "m6")
    window = fit(None, None, newest_first, Budget(4000, 600), MEASURE)
    assert [message["role"] for message in window.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert window.report.cut == ("m4", "m5")


def test_where_depths_are_unknown_what_was_read_is_counted() -> None:
    entries = [Entry(one.id, one.message, one.tokens) for one in branch(*[words(300)] * 20, "Compare them.")]
    assert fit(None, None, entries, BUDGET, MEASURE).report.left_out == 14


def test_what_would_be_seen_now_has_no_question() -> None:
    newest_first = branch("Hi", "Hello!", "How are you?", "Fine.", "")[1:]
    window = preview(text("Be kind."), None, newest_first, BUDGET, MEASURE)
    assert [message["content"] for message in window.messages] == [
        "Be kind.",
        "Hi",
        "Hello!",
        "How are you?",
        "Fine.",
    ]
    report = window.report
    assert (report.kept, report.left_out, report.tokens.question) == (("m1", "m2", "m3", "m4"), 0, 0)
    long = branch(*[words(300)] * 20, "")[1:]
    window = preview(None, summary("Short.", 10), long, BUDGET, MEASURE)
    assert (window.report.summarised, window.report.left_out, window.report.left_out_to) == (10, 4, "m14")


def test_an_empty_conversation_shows_its_system_prompt_alone() -> None:
    window = preview(text("Be kind."), None, [], BUDGET, MEASURE)
    assert window.messages == [{"role": "system", "content": "Be kind."}]
    assert (window.report.kept, window.report.left_out) == ((), 0)
    assert preview(None, None, [], BUDGET, MEASURE).messages == []


TURN = st.tuples(st.sampled_from(["user", "assistant", "tool"]), st.text(max_size=900), st.integers(1, 4))


@PROPERTY
@given(
    st.none() | st.text(min_size=1, max_size=9000),
    st.none() | st.text(min_size=1, max_size=900),
    st.lists(TURN, max_size=30),
    st.text(max_size=3000),
    st.tuples(st.integers(256, 4000), st.integers(0, 50)),
)
def test_whatever_was_said_the_budget_holds_and_every_message_is_accounted_for(
    system, told, said, question, sizes
) -> None:
    total, unread = sizes
    turns = [("user", question, 1), *said]
    newest_first = [
        Entry(
            f"m{unread + depth}",
            {"role": role, "content": part * times},
            MEASURE.counter.count(part * times),
            unread + depth,
        )
        for depth, (role, part, times) in zip(range(len(turns), 0, -1), turns, strict=True)
    ]
    budget = Budget(total, min(2000, total))
    given_summary = None if told is None else summary(told, min(unread + 1, newest_first[-1].depth))
    window = fit(text(system) if system else None, given_summary, newest_first, budget, MEASURE)
    report = window.report

    assert tokens(window) <= total
    assert report.tokens.total <= total
    ids = [one.id for one in reversed(newest_first)]
    shown = [name for name in ids if name in report.kept or name in report.cut]
    assert shown == ids[len(ids) - len(shown) :]
    assert shown[-1] == newest_first[0].id
    assert len(shown) + report.summarised + report.left_out == newest_first[0].depth
    message_of = {one.id: one.message for one in newest_first}
    offset = len(window.messages) - len(shown)
    assert offset in (0, 1)
    for name, message in zip(shown, window.messages[offset:], strict=True):
        assert message["role"] == message_of[name]["role"]
        assert (message == message_of[name]) is (name in report.kept)
    if len(shown) > 1 and "user" in [message_of[name]["role"] for name in ids]:
        assert window.messages[offset]["role"] == "user"


@PROPERTY
@given(st.lists(st.text(max_size=60), max_size=12), st.integers(1, 300), st.integers(0, 40))
def test_work_that_is_handed_in_is_shown_whole_or_refused(contents, most, tools) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    needed = sum(map(MEASURE.message, messages)) + MEASURE.overhead.of(messages) + tools
    if needed <= most:
        window = whole(messages, tools, most, MEASURE)
        assert window.messages == messages
        assert (window.report.tokens.total, window.report.tokens.system) == (needed, tools)
        return
    with pytest.raises(ContextTooLong) as raised:
        whole(messages, tools, most, MEASURE)
    assert raised.value.facts == {"field": "messages", "limit": most}
    assert f"about {needed} tokens" in raised.value.detail
